import type { AttributeWriter } from './attribute-writer.ts'
import { dataAttributes, expressionAttributes, listElement, verdictAttributes, verdicts } from './protocol.ts'

/**
 * Expressions of nf_tables, the instructions that a rule is made of (linux/netfilter/nf_tables.h): one loads a value into a register,
 * the next compares it, looks it up in a set, or ends the rule with a verdict.
 */

/** The register that a value of 16 bytes begins in; 0 is the verdict. */
const firstRegister = 1
const verdictRegister = 0

/** The register that begins at so many words of four bytes behind the first, as nft numbers them. */
export function registerAt(word: number): number {
  return word % 4 === 0 ? firstRegister + word / 4 : 8 + word
}

/** How values are compared. */
export const comparisons = { equal: 0, unequal: 1, atMost: 3, atLeast: 5 } as const

/** What packets tell of themselves beside their bytes. */
export const metaKeys = { mark: 3, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const

/** What the connection of a packet tells. */
export const connectionKeys = {
  state: 0,
  direction: 1,
  status: 2,
  destinationPort: 12,
  packets: 14,
  destinationIpv4: 20,
  destinationIpv6: 22,
} as const

/** Where a packet's headers begin. */
export const headers = { network: 1, transport: 2 } as const

/** Any expression: its name, and what writes its attributes; without it, it has none. */
export function expression(writer: AttributeWriter, name: string, data?: () => void): void {
  const element = writer.open(listElement)
  writer.text(expressionAttributes.name, name)
  if (data !== undefined) {
    const start = writer.open(expressionAttributes.data)
    data()
    writer.close(start)
  }
  writer.close(element)
}

function value(writer: AttributeWriter, type: number, bytes: Uint8Array): void {
  const start = writer.open(type)
  writer.bytes(dataAttributes.value, bytes)
  writer.close(start)
}

/** A verdict as data; `chain` where it leads to. */
export function writeVerdict(writer: AttributeWriter, type: number, code: number, chain: string | null): void {
  const data = writer.open(type)
  const verdict = writer.open(dataAttributes.verdict)
  writer.u32(verdictAttributes.code, code)
  if (chain !== null) writer.text(verdictAttributes.chain, chain)
  writer.close(verdict)
  writer.close(data)
}

/** Reads `accept`, `drop`, `return`, `jump CHAIN` or `goto CHAIN`; null when the text is none. */
export function parseVerdict(text: string): { readonly code: number; readonly chain: string | null } | null {
  if (text === 'accept' || text === 'drop' || text === 'return') return { code: verdicts[text], chain: null }
  const [, verb, chain] = /^(jump|goto) ([A-Za-z][\w./-]*)$/.exec(text) ?? []
  return chain === undefined ? null : { code: verdicts[verb as 'jump' | 'goto'], chain }
}

/** Loads what a packet tells of itself. */
export function loadMeta(writer: AttributeWriter, key: number, register = firstRegister): void {
  expression(writer, 'meta', () => {
    writer.u32(2, key)
    writer.u32(1, register)
  })
}

/** Stores the register as what a packet tells of itself. */
export function storeMeta(writer: AttributeWriter, key: number): void {
  expression(writer, 'meta', () => {
    writer.u32(2, key)
    writer.u32(3, firstRegister)
  })
}

/** Loads bytes of a packet, `offset` behind the beginning of a header. */
export function loadPayload(
  writer: AttributeWriter,
  header: number,
  offset: number,
  size: number,
  register = firstRegister,
): void {
  expression(writer, 'payload', () => {
    writer.u32(1, register)
    writer.u32(2, header)
    writer.u32(3, offset)
    writer.u32(4, size)
  })
}

/** Loads what the connection tells. `direction`: 0 is that of the connection's first packet, null where the key has none. */
export function loadConnection(writer: AttributeWriter, key: number, direction: 0 | null): void {
  expression(writer, 'ct', () => {
    writer.u32(2, key)
    writer.u32(1, firstRegister)
    if (direction !== null) writer.u8(3, direction)
  })
}

/** Matches when the register compares so to a value; a shorter value is compared to the register's first bytes. */
export function compare(writer: AttributeWriter, comparison: number, bytes: Uint8Array): void {
  expression(writer, 'cmp', () => {
    writer.u32(1, firstRegister)
    writer.u32(2, comparison)
    value(writer, 3, bytes)
  })
}

/** Matches when the register lies in a range, both ends included, or, `unequal`, outside. */
export function compareRange(
  writer: AttributeWriter,
  comparison: number,
  [first, last]: readonly [Uint8Array, Uint8Array],
): void {
  expression(writer, 'range', () => {
    writer.u32(1, firstRegister)
    writer.u32(2, comparison)
    value(writer, 3, first)
    value(writer, 4, last)
  })
}

/** Changes the register: (register & mask) ^ xor. */
export function bitwise(writer: AttributeWriter, mask: Uint8Array, xor: Uint8Array): void {
  expression(writer, 'bitwise', () => {
    writer.u32(1, firstRegister)
    writer.u32(2, firstRegister)
    writer.u32(3, mask.length)
    value(writer, 4, mask)
    value(writer, 5, xor)
  })
}

/** Matches when the set has the register's value; `unequal`: when it has not. */
export function lookUp(writer: AttributeWriter, set: string, comparison: number): void {
  expression(writer, 'lookup', () => {
    writer.text(1, set)
    writer.u32(2, firstRegister)
    if (comparison === comparisons.unequal) writer.u32(5, 1)
  })
}

/** Goes on with the verdict that a map has for the register's value. */
export function lookUpVerdict(writer: AttributeWriter, map: string): void {
  expression(writer, 'lookup', () => {
    writer.text(1, map)
    writer.u32(2, firstRegister)
    writer.u32(3, verdictRegister)
  })
}

/** Ends the rule with a verdict; `chain` where it leads to. */
export function verdict(writer: AttributeWriter, code: number, chain: string | null): void {
  expression(writer, 'immediate', () => {
    writer.u32(1, verdictRegister)
    writeVerdict(writer, 2, code, chain)
  })
}

/** Loads a value that is given. */
export function loadValue(writer: AttributeWriter, bytes: Uint8Array): void {
  expression(writer, 'immediate', () => {
    writer.u32(1, firstRegister)
    value(writer, 2, bytes)
  })
}

/** What the routing table says; `flags` tells of which address, `result` is what is asked. */
export function loadRoute(writer: AttributeWriter, result: number, flags: number): void {
  expression(writer, 'fib', () => {
    writer.u32(3, flags)
    writer.u32(2, result)
    writer.u32(1, firstRegister)
  })
}
