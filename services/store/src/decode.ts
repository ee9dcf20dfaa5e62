import { linesOf, ndjson } from '@margay/kit/blocks'
import type { LogRecord, StoredRecord } from '@margay/kit/event-log'
import { deadLettersOf } from '@margay/kit/topics'
import { type EventDefinition, rowOf, storedColumns, validateEvent } from '@margay/schemas'

/** Why an event was not stored; a label of the metric. */
export type Reason = 'block' | 'json' | 'invalid' | 'reserved' | 'time' | 'refused'

/** An event that can be stored, as the line that ClickHouse reads, with its place in the log. */
export interface Row {
  readonly text: string
  readonly offset: number
  readonly index: number
  /** The event as it came. */
  readonly line: string
}

/** What cannot be stored, with its place in the log; index -1 stands for a whole block. */
export interface DeadLetter {
  readonly reason: Reason
  /** What is wrong, without the values themselves. */
  readonly detail: string
  readonly offset: number
  readonly index: number
  readonly value: Buffer
}

/** What a record held. */
export interface Decoded {
  readonly rows: Row[]
  readonly deadLetters: DeadLetter[]
}

const dayMs = 86_400_000
const reserved = Object.keys(storedColumns)

/**
 * Reads the events of one block: each line becomes a row for ClickHouse or a dead letter with its reason, the rest is kept.
 * Events older than the table keeps, or more than a day ahead, are dead letters: ClickHouse would drop the one at once, and
 * either would scatter the batch over many partitions.
 */
export function decode(definition: EventDefinition, record: StoredRecord, now: number): Decoded {
  const rows: Row[] = []
  const deadLetters: DeadLetter[] = []
  const { offset } = record
  const wrong = blockProblem(definition, record)
  if (wrong !== null) {
    const value = record.value ?? Buffer.alloc(0)
    return { rows, deadLetters: [{ reason: 'block', detail: wrong, offset, index: -1, value }] }
  }
  const oldest = now - definition.retentionDays * dayMs
  const newest = now + dayMs
  const places = `"ingest_time":${now},"log_partition":${record.partition},"log_offset":${offset},"log_index":`
  for (const [index, line] of linesOf(record).entries()) {
    if (line === '') continue
    const reject = (reason: Reason, detail: string) =>
      void deadLetters.push({ reason, detail, offset, index, value: Buffer.from(line) })
    let event: Record<string, unknown>
    try {
      event = JSON.parse(line) as Record<string, unknown>
    } catch {
      reject('json', 'the line is not JSON')
      continue
    }
    const problem = validateEvent(definition, event)
    if (problem !== null) {
      reject('invalid', problem)
      continue
    }
    const taken = reserved.find((name) => name in event)
    if (taken !== undefined) {
      reject('reserved', `${taken} is written by the store`)
      continue
    }
    const time = event[definition.timeColumn] as number
    if (time < oldest || time > newest) {
      reject('time', `${definition.timeColumn} is ${time < oldest ? 'older than the table keeps' : 'in the future'}`)
      continue
    }
    const row = rowOf(definition, event)
    const text = row === event ? line : JSON.stringify(row)
    rows.push({ text: `${text.slice(0, text.lastIndexOf('}'))},${places}${index}}`, offset, index, line })
  }
  return { rows, deadLetters }
}

/** What is wrong with a block as a whole; blocks without headers come from producers that are not ours and are tried. */
function blockProblem(definition: EventDefinition, record: StoredRecord): string | null {
  if (record.value === null) return 'the record has no value'
  const { 'content-type': type = ndjson, schema = `${definition.kind}/${definition.version}` } = record.headers
  if (type !== ndjson) return `content type ${type.slice(0, 100)} is not known`
  const [kind, version] = schema.split('/')
  if (kind !== definition.kind) return `schema ${schema.slice(0, 100)} does not belong to this topic`
  if (!(Number(version) <= definition.version)) return `schema ${schema.slice(0, 100)} is newer than this store`
  return null
}

/** The record that goes to the dead letters of a topic. */
export function deadLetterRecord(topic: string, partition: number, letter: DeadLetter): LogRecord {
  const { reason, detail, offset, index, value } = letter
  return {
    topic: deadLettersOf(topic),
    key: `${partition}/${offset}/${index}`,
    value,
    headers: {
      reason,
      detail,
      'source-topic': topic,
      'source-partition': String(partition),
      'source-offset': String(offset),
      'source-index': String(index),
    },
  }
}
