/** Two bits of a packet's mark carry what a policy decided from its chain to the one that called it; the others belong to others. */
export const accept = 0x10000
export const pass = 0x20000

/** Takes both bits out again. */
export const clearMarks = 'meta mark set meta mark & 0xfffcffff'

/** The same as a rule, where most packets have none. */
export const clearMarksIfAny = [`meta mark & ${accept | pass} != 0`, clearMarks] as const
