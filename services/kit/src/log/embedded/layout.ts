import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { MargayError } from '../../errors.ts'
import type { LogRecord, StoredRecord } from '../../event-log.ts'

/*
 * How the embedded log lies in its LMDB folder (`data.mdb`, `lock.mdb`, and the signal files of signal.ts).
 * Integers are unsigned and big-endian, so that the order of keys is the order of numbers. Seven tables:
 *
 *   facts    'format'                                     '1'
 *            'maintained'                                 time of the last maintenance, decimal
 *   topics   name                                         JSON { id, partitions, retentionMs, compacted }
 *   heads    topic u32, partition u16                     next u64, earliest u64, last timestamp u64
 *   records  topic u32, partition u16, offset u64         record, below
 *   times    topic u32, partition u16, time u64, offset u64     1 for a tombstone, else 0: the time index
 *   keys     topic u32, partition u16, SHA-256 of the key       offset u64, time u64 of the newest record (compacted topics)
 *   groups   'offset' NUL group NUL topic NUL partition   next offset to read, decimal
 *            'member' NUL group NUL member                JSON { expires, topics }
 *            'lease' NUL group NUL topic NUL partition    member that reads the partition
 *
 * A record: layout u8 (1), flags u8 (1: no key, 2: no value), timestamp u48, CRC-32 of what follows u32,
 * headers u16, key length u32, key, for each header: name length u16, name, value length u32, value; the rest is the value.
 * Timestamps never go back inside a partition, so the time index is in the order of offsets too.
 */

/** Version of the layout, kept in `facts`. */
export const format = '1'

const noKey = 1
const noValue = 2
const fixed = 18

/** Bounds of a partition's log. */
export interface Head {
  /** Offset of the next record to be written. */
  readonly next: number
  /** First offset that may still be there. */
  readonly earliest: number
  /** Timestamp of the newest record, unix ms; 0 when there was none. */
  readonly time: number
}

function putLong(target: Buffer, value: number, at: number): void {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  target.writeUInt32BE(value % 2 ** 32, at + 4)
}

function getLong(source: Buffer, at: number): number {
  return source.readUInt32BE(at) * 2 ** 32 + source.readUInt32BE(at + 4)
}

function prefixed(topic: number, partition: number, length: number): Buffer {
  const key = Buffer.alloc(6 + length)
  key.writeUInt32BE(topic, 0)
  key.writeUInt16BE(partition, 4)
  return key
}

/** Key of a partition in `heads`. */
export const headKey = (topic: number, partition: number): Buffer => prefixed(topic, partition, 0)

/** Key of a record in `records`. */
export function recordKey(topic: number, partition: number, offset: number): Buffer {
  const key = prefixed(topic, partition, 8)
  putLong(key, offset, 6)
  return key
}

/** Offset that a key of `records` holds. */
export const offsetOfRecordKey = (key: Buffer): number => getLong(key, 6)

/** Key of a record in `times`. */
export function timeKey(topic: number, partition: number, time: number, offset: number): Buffer {
  const key = prefixed(topic, partition, 16)
  putLong(key, time, 6)
  putLong(key, offset, 14)
  return key
}

/** Time and offset that a key of `times` holds. */
export const readTimeKey = (key: Buffer): { time: number; offset: number } => ({
  time: getLong(key, 6),
  offset: getLong(key, 14),
})

/** Key of a record's key in `keys`. */
export function nameKey(topic: number, partition: number, name: string): Buffer {
  const key = prefixed(topic, partition, 32)
  createHash('sha256').update(name).digest().copy(key, 6)
  return key
}

/** Value of `keys`. */
export function encodePlace(offset: number, time: number): Buffer {
  const value = Buffer.alloc(16)
  putLong(value, offset, 0)
  putLong(value, time, 8)
  return value
}

/** Offset and time that a value of `keys` holds. */
export const decodePlace = (value: Buffer): { offset: number; time: number } => ({
  offset: getLong(value, 0),
  time: getLong(value, 8),
})

/** Value of `heads`. */
export function encodeHead(head: Head): Buffer {
  const value = Buffer.alloc(24)
  putLong(value, head.next, 0)
  putLong(value, head.earliest, 8)
  putLong(value, head.time, 16)
  return value
}

/** Head that a value of `heads` holds; a partition without a value is empty. */
export function decodeHead(value: Buffer | undefined): Head {
  if (value === undefined) return { next: 0, earliest: 0, time: 0 }
  return { next: getLong(value, 0), earliest: getLong(value, 8), time: getLong(value, 16) }
}

/** Key in `groups`. */
export const groupKey = (what: 'offset' | 'member' | 'lease', group: string, ...rest: (string | number)[]): Buffer =>
  Buffer.from([what, group, ...rest].join('\0'))

/** Value of `records` without its timestamp, which is known only once the log is locked: see stampRecord. */
export function encodeRecord(record: Pick<LogRecord, 'key' | 'value' | 'headers'>): Buffer {
  const headers = Object.entries(record.headers ?? {}).map(([name, value]) => [Buffer.from(name), Buffer.from(value)])
  const key = Buffer.from(record.key ?? '')
  const value = record.value ?? Buffer.alloc(0)
  const size = headers.reduce((sum, pair) => sum + 6 + pair.reduce((length, part) => length + part.length, 0), 0)
  const target = Buffer.allocUnsafe(fixed + key.length + size + value.length)
  target.writeUInt8(1, 0)
  target.writeUInt8((record.key === null ? noKey : 0) | (record.value === null ? noValue : 0), 1)
  target.writeUIntBE(0, 2, 6)
  target.writeUInt16BE(headers.length, 12)
  target.writeUInt32BE(key.length, 14)
  let at = fixed + key.copy(target, fixed)
  for (const [name, text] of headers as [Buffer, Buffer][]) {
    at = target.writeUInt16BE(name.length, at)
    at += name.copy(target, at)
    at = target.writeUInt32BE(text.length, at)
    at += text.copy(target, at)
  }
  value.copy(target, at)
  target.writeUInt32BE(crc32(target.subarray(12)), 8)
  return target
}

/** Writes the timestamp (unix ms) into an encoded record. */
export function stampRecord(encoded: Buffer, time: number): void {
  encoded.writeUIntBE(time, 2, 6)
}

/** The record that a value of `records` holds. Throws LOG_CORRUPT when the value is damaged or from a newer layout. */
export function decodeRecord(source: Buffer, topic: string, partition: number, offset: number): StoredRecord {
  if (source.length < fixed || source[0] !== 1 || source.readUInt32BE(8) !== crc32(source.subarray(12))) {
    throw new MargayError(
      'LOG_CORRUPT',
      `record ${offset} of partition ${partition} of ${topic} is damaged; move the log's folder away to start a new one`,
    )
  }
  const flags = source[1] as number
  const keyEnd = fixed + source.readUInt32BE(14)
  const headers: [string, string][] = []
  let at = keyEnd
  for (let left = source.readUInt16BE(12); left > 0; left -= 1) {
    const nameEnd = at + 2 + source.readUInt16BE(at)
    const valueEnd = nameEnd + 4 + source.readUInt32BE(nameEnd)
    headers.push([source.toString('utf8', at + 2, nameEnd), source.toString('utf8', nameEnd + 4, valueEnd)])
    at = valueEnd
  }
  return {
    topic,
    partition,
    offset,
    timestamp: source.readUIntBE(2, 6),
    key: (flags & noKey) !== 0 ? null : source.toString('utf8', fixed, keyEnd),
    value: (flags & noValue) !== 0 ? null : source.subarray(at),
    headers: Object.fromEntries(headers),
  }
}
