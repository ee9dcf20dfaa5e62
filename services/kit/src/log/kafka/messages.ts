import type { LogRecord, StoredRecord } from '../../event-log.ts'
import type { Message } from './internals.ts'

/** A record as kafkajs takes it, for a partition that has been chosen. */
export function toMessage(record: LogRecord, partition: number) {
  return { key: record.key, value: record.value, headers: { ...record.headers }, partition }
}

/** A message as a record. */
export function toRecord(topic: string, partition: number, message: Message): StoredRecord {
  const headers = Object.entries(message.headers ?? {}).map(([name, value]) => {
    const last = Array.isArray(value) ? value.at(-1) : value // Kafka lets a header repeat
    return [name, last?.toString() ?? '']
  })
  return {
    topic,
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key === null ? null : message.key.toString(),
    value: message.value,
    headers: Object.fromEntries(headers),
  }
}

/** Bytes of a record that count against limits. */
export function sizeOf(record: { readonly key: string | null; readonly value: Buffer | null }): number {
  return (record.key?.length ?? 0) + (record.value?.length ?? 0) + 64
}

/** Splits records into runs of at most `bytes` of values; a run has one record at least. */
export function runs(records: readonly StoredRecord[], bytes: number): StoredRecord[][] {
  const all: StoredRecord[][] = []
  let size = 0
  for (const record of records) {
    const length = record.value?.length ?? 0
    const run = all.at(-1)
    if (run === undefined || size + length > bytes) {
      all.push([record])
      size = length
    } else {
      run.push(record)
      size += length
    }
  }
  return all
}
