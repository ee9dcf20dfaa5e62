import type { AttributeWriter } from './attribute-writer.ts'
import { parseHook } from './hook.ts'
import {
  chainAttributes,
  hookAttributes,
  listElement,
  setAttributes,
  setDescriptionAttributes,
  tableAttributes,
  verdictDataType,
} from './protocol.ts'
import { keyTypeNumber, parseSetSpec, setFlagsOf, setUserData } from './set-spec.ts'

/** Attributes of the messages that make and unmake tables, chains and sets. */

/** A table. */
export function writeTable(writer: AttributeWriter, table: string): void {
  writer.text(tableAttributes.name, table)
  writer.u32(tableAttributes.flags, 0)
}

/** A chain; false when its hook cannot be read. */
export function writeChain(writer: AttributeWriter, table: string, name: string, hookText: string | null): boolean {
  writer.text(chainAttributes.table, table)
  writer.text(chainAttributes.name, name)
  if (hookText === null) return true
  const hook = parseHook(hookText)
  if (hook === null) return false
  writer.text(chainAttributes.type, hook.type)
  writer.u32(chainAttributes.policy, hook.policy === 'accept' ? 1 : 0)
  const nested = writer.open(chainAttributes.hook)
  writer.u32(hookAttributes.number, hook.number)
  writer.u32(hookAttributes.priority, hook.priority)
  writer.close(nested)
  return true
}

/** A set or map; `id` is its own in the transaction. False when its spec cannot be read. */
export function writeSet(writer: AttributeWriter, table: string, name: string, specText: string, id: number): boolean {
  const spec = parseSetSpec(specText)
  if (spec === null) return false
  writer.text(setAttributes.table, table)
  writer.text(setAttributes.name, name)
  writer.u32(setAttributes.flags, setFlagsOf(spec))
  writer.u32(setAttributes.keyType, keyTypeNumber(spec))
  writer.u32(setAttributes.keyLength, spec.keySize)
  if (spec.verdict) {
    writer.u32(setAttributes.dataType, verdictDataType)
    writer.u32(setAttributes.dataLength, 0)
  }
  writer.u32(setAttributes.id, id)
  if (spec.interval && spec.fields.length > 1) {
    const description = writer.open(setAttributes.description)
    const fields = writer.open(setDescriptionAttributes.concatenation)
    for (const { size } of spec.fields) {
      const field = writer.open(listElement)
      writer.u32(setDescriptionAttributes.fieldLength, size)
      writer.close(field)
    }
    writer.close(fields)
    writer.close(description)
  }
  writer.bytes(setAttributes.userData, setUserData(spec))
  return true
}
