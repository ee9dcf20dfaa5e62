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

export const tableAttributes = { name: 1, flags: 2 } as const
export const chainAttributes = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const
export const hookAttributes = { number: 1, priority: 2 } as const
export const ruleAttributes = { table: 1, chain: 2, handle: 3, expressions: 4 } as const
export const listElement = 1
export const expressionAttributes = { name: 1, data: 2 } as const
export const dataAttributes = { value: 1, verdict: 2 } as const
export const verdictAttributes = { code: 1, chain: 2 } as const

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
export const setDescriptionAttributes = { concatenation: 2, fieldLength: 1 } as const
export const setFlags = { interval: 0x4, map: 0x8, concatenation: 0x80 } as const
/** The type of data that is a verdict. */
export const verdictDataType = 0xffffff00

export const elementListAttributes = { table: 1, set: 2, elements: 3 } as const
export const elementAttributes = { key: 1, data: 2, flags: 3, userData: 6, keyEnd: 10 } as const
export const elementFlags = { intervalEnd: 1 } as const

/** What becomes of a packet: the first two are netfilter's, the others nf_tables' own. */
export const verdicts = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const
