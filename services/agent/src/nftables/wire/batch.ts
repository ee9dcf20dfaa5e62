import { flags as requestFlags } from '../../netlink/message.ts'
import { type AttributeWriter, longestAttribute } from './attribute-writer.ts'
import type { TableChange } from './change.ts'
import { writeElement } from './element.ts'
import { writeChain, writeSet, writeTable } from './object-messages.ts'
import {
  addFlags,
  chainAttributes,
  elementListAttributes,
  families,
  messages,
  ruleAttributes,
  setAttributes,
} from './protocol.ts'
import { type Refusal, refused } from './refusal.ts'
import type { RuleWriter } from './rule.ts'
import { parseSetSpec, type SetSpec } from './set-spec.ts'

/** The messages of one transaction, and what each of them is about. */
export interface Batch {
  /** A view of the writer that the batch was written with. */
  readonly bytes: Buffer
  readonly firstSequence: number
  /** The message that asks for an answer: the last but the one that ends the transaction. */
  readonly lastSequence: number
  /** Of each message behind the first: its change, and the rule or element of the change that it begins with. */
  readonly places: readonly number[]
}

/** Where changes are put: a table, and the writers that are used again for every batch. */
export interface BatchTarget {
  readonly table: string
  readonly writer: AttributeWriter
  readonly rules: RuleWriter
}

/** The subsystem that a batch is for, in the headers that begin and end it. */
const nfTables = 10
/** A list of elements is an attribute, whose length is limited; this leaves room for one more element. */
const fullList = longestAttribute - 2048
const noFlags = requestFlags.request
const createFlags = requestFlags.request | addFlags.create
const appendFlags = createFlags | addFlags.append

/**
 * Encodes changes as one transaction. Without `commit` the kernel only checks it. Throws NFT_REFUSED when a change cannot be written:
 * a statement out of the vocabulary, an element that does not fit its set.
 */
export function encodeBatch(
  target: BatchTarget,
  changes: readonly TableChange[],
  options: { readonly sequence: number; readonly commit: boolean },
): Batch {
  const { table, writer, rules } = target
  const places: number[] = []
  let sequence = options.sequence
  let last = 0
  let setId = 0

  function refuse(change: number, object: string, reason: string): never {
    const refusal: Refusal = { change, object, reason, errno: 0, cause: changes[change]?.cause ?? null }
    throw refused(table, [refusal])
  }

  function begin(type: number, flags: number, change: number, item = 0): number {
    sequence += 1
    places.push(change, item)
    last = writer.message(type, flags, sequence, families.inet)
    return last
  }

  function named(type: number, change: number, name: { readonly type: number; readonly text: string } | null): void {
    const start = begin(type, noFlags, change)
    // In messages about chains, rules, sets and elements alike the table is the first attribute.
    writer.text(1, table)
    if (name !== null) writer.text(name.type, name.text)
    writer.endMessage(start)
  }

  function chain(change: Extract<TableChange, { type: 'chain' }>, index: number): void {
    if (change.op === 'add') {
      const start = begin(messages.newChain, createFlags, index)
      if (!writeChain(writer, table, change.chain, change.hook))
        refuse(index, `chain ${change.chain}`, `"${change.hook}" is no hook`)
      writer.endMessage(start)
    } else if (change.op === 'flush') named(messages.delRule, index, { type: ruleAttributes.chain, text: change.chain })
    else named(messages.delChain, index, { type: chainAttributes.name, text: change.chain })
  }

  function appendRules(change: Extract<TableChange, { type: 'rules' }>, index: number): void {
    let head: Buffer | null = null
    for (const [item, rule] of change.rules.entries()) {
      const start = begin(messages.newRule, appendFlags, index, item)
      if (head === null) {
        const from = writer.length
        writer.text(ruleAttributes.table, table)
        writer.text(ruleAttributes.chain, change.chain)
        head = Buffer.from(writer.view(from))
      } else writer.copy(head)
      const expressions = writer.open(ruleAttributes.expressions)
      const unknown = rules.write(writer, rule)
      if (unknown !== null) refuse(index, describe(change, item), `"${unknown}" is no statement that is known here`)
      writer.close(expressions)
      writer.endMessage(start)
    }
  }

  function set(change: Extract<TableChange, { type: 'set' }>, index: number): void {
    if (change.op === 'add') {
      const start = begin(messages.newSet, createFlags, index)
      setId += 1
      if (!writeSet(writer, table, change.set, change.spec, setId))
        refuse(index, `${change.kind} ${change.set}`, notKnown(change))
      writer.endMessage(start)
    } else if (change.op === 'flush')
      named(messages.delElements, index, { type: elementListAttributes.set, text: change.set })
    else named(messages.delSet, index, { type: setAttributes.name, text: change.set })
  }

  function elements(change: Extract<TableChange, { type: 'elements' }>, index: number): void {
    const spec: SetSpec | null = parseSetSpec(change.spec)
    const name = `${change.kind} ${change.set}`
    if (spec === null) refuse(index, name, notKnown(change))
    const isAdded = change.op === 'add'
    let start = -1
    let list = -1
    let item = 0
    const end = () => {
      if (start < 0) return
      writer.close(list)
      writer.endMessage(start)
      start = -1
    }
    const write = (key: string, verdict: string) => {
      if (start >= 0 && writer.length - list > fullList) end()
      if (start < 0) {
        start = begin(
          isAdded ? messages.newElements : messages.delElements,
          isAdded ? createFlags : noFlags,
          index,
          item,
        )
        writer.text(elementListAttributes.table, table)
        writer.text(elementListAttributes.set, change.set)
        list = writer.open(elementListAttributes.elements)
      }
      // The kernel takes an element away by its key alone.
      const problem = writeElement(writer, spec, key, isAdded ? verdict : '')
      if (problem !== null) refuse(index, `element ${key} of ${name}`, problem)
      item += 1
    }
    if (change.elements instanceof Map) for (const [key, verdict] of change.elements) write(key, verdict)
    else for (const key of change.elements as readonly string[]) write(key, '')
    end()
  }

  writer.clear()
  writer.endMessage(writer.message(messages.batchBegin, noFlags, sequence, 0, nfTables))
  for (const [index, change] of changes.entries()) {
    if (change.type === 'rules') appendRules(change, index)
    else if (change.type === 'elements') elements(change, index)
    else if (change.type === 'chain') chain(change, index)
    else if (change.type === 'set') set(change, index)
    else if (change.op === 'delete') named(messages.delTable, index, null)
    else {
      const start = begin(messages.newTable, noFlags, index)
      writeTable(writer, table)
      writer.endMessage(start)
    }
  }
  const lastSequence = sequence
  if (last > 0) writer.addFlags(last, requestFlags.ack)
  if (options.commit) writer.endMessage(writer.message(messages.batchEnd, noFlags, sequence + 1, 0, nfTables))
  return { bytes: writer.view(), firstSequence: options.sequence, lastSequence, places }
}

const notKnown = ({ kind, spec }: { readonly kind: string; readonly spec: string }) =>
  `"${spec}" is no type of a ${kind} that is known here`

/** What a change, or one rule or element of it, is about. */
export function describe(change: TableChange, item: number): string {
  if (change.type === 'table') return 'the table itself'
  if (change.type === 'chain') return `chain ${change.chain}`
  if (change.type === 'rules') return `rule "${change.rules[item]?.join(' ')}" of chain ${change.chain}`
  if (change.type === 'set') return `${change.kind} ${change.set}`
  const key = [...(change.elements instanceof Map ? change.elements.keys() : (change.elements as readonly string[]))][
    item
  ]
  return `element ${key} of ${change.kind} ${change.set}`
}
