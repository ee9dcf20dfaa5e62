/** Bits of a packet's mark carry what a policy decided from its chain to the one that called it; the others belong to others. */
export const accept = 0x10000
export const pass = 0x20000
/** An untracked or pre-DNAT policy has let the packet through for good: later stages of host endpoints are not asked. */
export const settled = 0x40000

/** Takes the bits of one judgement out again, so that the next begins without. */
export const clearMarks = 'meta mark set meta mark & 0xfffcffff'

/** The same as a rule, where most packets have none. */
export const clearMarksIfAny = [`meta mark & ${accept | pass} != 0`, clearMarks] as const

/** All bits that the hooks before may have left, taken out where a hook begins or ends. */
export const clearEveryMarkIfAny = [
  `meta mark & ${accept | pass | settled} != 0`,
  'meta mark set meta mark & 0xfff8ffff',
] as const
