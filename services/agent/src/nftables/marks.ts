/** Bits of a packet's mark carry what a policy decided from its chain to the one that called it; the others belong to others. */
export const accept = 0x10000
export const pass = 0x20000
/** An untracked or pre-DNAT policy has let the packet through for good: later stages of host endpoints are not asked. */
export const settled = 0x40000

/** Which class an endpoint belongs to: a number in these bits, between the two steps in which a packet finds its class. */
export const classBits = 0xfff80000
/** Numbers are from 1 to this. */
export const mostClasses = 0x1fff

/** The bits of a class by its number. */
export const classMark = (number: number) => (number << 19) >>> 0

/** A mark as nft prints it. */
export const hexadecimal = (mark: number) => `0x${mark.toString(16).padStart(8, '0')}`

/** Takes the bits of one judgement out again, so that the next begins without. */
export const clearMarks = 'meta mark set meta mark & 0x0004ffff'

/** All bits that the hooks before may have left, taken out where a hook begins or ends. Ours are those that Calico uses, too. */
export const clearEveryMarkIfAny = ['meta mark & 0xffff0000 != 0', 'meta mark set meta mark & 0x0000ffff'] as const
