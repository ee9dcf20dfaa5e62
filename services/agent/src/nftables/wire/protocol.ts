/** Numbers of the nf_tables protocol (linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h), under the names that the headers give them. */

const subsystem = 10 << 8

/** Message types. */
export const messages = {
  batchBegin: 16,
  batchEnd: 17,
  newTable: subsystem | 0,
  delTable: subsystem | 2,
  newChain: subsystem | 3,
  getChain: subsystem | 4,
  delChain: subsystem | 5,
  newRule: subsystem | 6,
  getRule: subsystem | 7,
  delRule: subsystem | 8,
  newSet: subsystem | 9,
  getSet: subsystem | 10,
  delSet: subsystem | 11,
  newElements: subsystem | 12,
  getElements: subsystem | 13,
  delElements: subsystem | 14,
} as const

/** Flags of requests that add (netlink(7)). */
export const addFlags = { create: 0x400, append: 0x800 } as const

/** Protocol families of tables, and what `meta nfproto` tells of packets (linux/netfilter.h). */
export const families = { inet: 1, ipv4: 2, ipv6: 10 } as const

/** Attributes of tables. */
export const tableAttributes = { name: 1, flags: 2 } as const
/** Attributes of chains. */
export const chainAttributes = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const
/** Attributes of a chain's hook. */
export const hookAttributes = { number: 1, priority: 2 } as const
/** Attributes of rules. */
export const ruleAttributes = { table: 1, chain: 2, handle: 3, expressions: 4 } as const
/** The attribute that holds one item of a list. */
export const listElement = 1
/** Attributes of expressions; those of `data` differ with the name. */
export const expressionAttributes = { name: 1, data: 2 } as const
/** What a datum is: bytes, or a verdict. */
export const dataAttributes = { value: 1, verdict: 2 } as const
/** Attributes of verdicts. */
export const verdictAttributes = { code: 1, chain: 2 } as const

/** Attributes of sets and maps. */
export const setAttributes = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  keyLength: 5,
  dataType: 6,
  dataLength: 7,
  description: 9,
  id: 10,
  userData: 13,
} as const
/** Attributes of the description of a set, and of one of its fields. */
export const setDescriptionAttributes = { concatenation: 2, fieldLength: 1 } as const
/** What a set is. */
export const setFlags = { interval: 0x4, map: 0x8, concatenation: 0x80 } as const
/** The type of data that is a verdict. */
export const verdictDataType = 0xffffff00

/** Attributes of messages about elements. */
export const elementListAttributes = { table: 1, set: 2, elements: 3 } as const
/** Attributes of an element. */
export const elementAttributes = { key: 1, data: 2, flags: 3, userData: 6, keyEnd: 10 } as const
/** What an element is. */
export const elementFlags = { intervalEnd: 1 } as const

/** What becomes of a packet: the first two are netfilter's, the others nf_tables' own. */
export const verdicts = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const
