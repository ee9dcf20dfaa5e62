import { nextAfter } from './address.ts'
import type { AttributeWriter } from './attribute-writer.ts'
import { parseVerdict, writeVerdict } from './expression.ts'
import { type KeyType, parseRange } from './key-type.ts'
import { dataAttributes, elementAttributes, elementFlags, listElement } from './protocol.ts'
import type { SetSpec } from './set-spec.ts'

/**
 * Elements of sets. An interval of a single type is two elements: where it begins, and, unless it goes to the last value there is, the
 * value behind it, marked as an end. An interval of a concatenation is one element with two keys.
 */

/** nft's note on an element that begins an interval without end (libnftnl/udata.h). */
const openInterval = Uint8Array.of(1, 4, 1, 0, 0, 0)

/** Writes an element with its verdict, empty when it has none; gives what is wrong with it, or null. */
export function writeElement(writer: AttributeWriter, spec: SetSpec, key: string, verdict: string): string | null {
  const data = verdict === '' ? null : parseVerdict(verdict)
  if (data === null && verdict !== '') return `verdict "${verdict}" is not known`
  const single = spec.fields.length === 1 ? (spec.fields[0] as KeyType) : null
  if (single === null) {
    const range = concatenation(spec, key)
    if (range === null) return `"${key}" does not fit its type`
    writeOne(writer, range[0], spec.interval ? range[1] : null, data)
    return null
  }
  if (!spec.interval) {
    const value = single.parse(key)
    if (value === null) return `"${key}" does not fit its type`
    writeOne(writer, value, null, data)
    return null
  }
  const range = parseRange(single, key)
  if (range === null) return `"${key}" does not fit its type`
  const end = nextAfter(range[1])
  writeOne(writer, range[0], null, data, end === null ? openInterval : undefined)
  if (end !== null) {
    const element = writer.open(listElement)
    writeKey(writer, elementAttributes.key, end)
    writer.u32(elementAttributes.flags, elementFlags.intervalEnd)
    writer.close(element)
  }
  return null
}

/** First and last key of a concatenation, its parts padded to four bytes. Without intervals the two are the same. */
function concatenation({ fields, interval, keySize }: SetSpec, text: string): [Uint8Array, Uint8Array] | null {
  const parts = text.split(' . ')
  if (parts.length !== fields.length) return null
  const first = new Uint8Array(keySize)
  const last = interval ? new Uint8Array(keySize) : first
  let at = 0
  for (let index = 0; index < parts.length; index += 1) {
    const type = fields[index] as KeyType
    const part = parts[index] as string
    if (interval) {
      const range = parseRange(type, part)
      if (range === null) return null
      first.set(range[0], at)
      last.set(range[1], at)
    } else {
      const value = type.parse(part)
      if (value === null) return null
      first.set(value, at)
    }
    at += (type.size + 3) & ~3
  }
  return [first, last]
}

function writeOne(
  writer: AttributeWriter,
  key: Uint8Array,
  last: Uint8Array | null,
  data: ReturnType<typeof parseVerdict>,
  userData?: Uint8Array,
): void {
  const element = writer.open(listElement)
  writeKey(writer, elementAttributes.key, key)
  if (last !== null) writeKey(writer, elementAttributes.keyEnd, last)
  if (data !== null) writeVerdict(writer, elementAttributes.data, data.code, data.chain)
  if (userData !== undefined) writer.bytes(elementAttributes.userData, userData)
  writer.close(element)
}

function writeKey(writer: AttributeWriter, type: number, value: Uint8Array): void {
  const key = writer.open(type)
  writer.bytes(dataAttributes.value, value)
  writer.close(key)
}
