import { MargayError } from '../../errors.ts'
import type { LogRecord, Position, StoredRecord } from '../../event-log.ts'
import { createPartitioner } from '../partitioner.ts'
import type { Catalog, Topic } from './catalog.ts'
import type { Database } from './database.ts'
import {
  decodePlace,
  decodeRecord,
  encodeHead,
  encodePlace,
  encodeRecord,
  type Head,
  headKey,
  nameKey,
  offsetOfRecordKey,
  readTimeKey,
  recordKey,
  stampRecord,
  timeKey,
} from './layout.ts'

/** A run of records, and where to go on. */
export interface Run {
  readonly records: StoredRecord[]
  /** Offset to read from next. */
  readonly next: number
}

/** Records of the folder: written, read, found by time. */
export interface Records {
  append(records: readonly LogRecord[]): Promise<Position[]>
  /** Records from an offset on: at least one if there is any, then up to the limits (bytes of keys and values). */
  read(topic: Topic, partition: number, from: number, limits: { bytes: number; count: number }): Run
  /** First offset at or after a time, `next` if none. */
  offsetAt(topic: Topic, partition: number, time: number): number
}

/** Largest record taken, bytes of key, headers and value. */
const maxRecordBytes = 64 * 2 ** 20

/** Makes the records of an open folder. */
export function createRecords(database: Database, catalog: Catalog, now: () => number): Records {
  const choose = createPartitioner()

  return {
    async append(records) {
      const entries = records.map((record) => {
        const found = catalog.find(record.topic)
        const partition = record.partition ?? choose(record.key, found.partitions)
        catalog.check(record.topic, partition)
        const encoded = encodeRecord(record)
        if (encoded.length > maxRecordBytes) {
          throw new MargayError(
            'LOG_RECORD_TOO_LARGE',
            `a record of ${encoded.length} bytes for ${record.topic} is larger than ${maxRecordBytes}; split it`,
          )
        }
        return { topic: found, partition, encoded, key: record.key, isTombstone: record.value === null }
      })
      return database.write(() => {
        const heads = new Map<string, { topic: Topic; partition: number; head: Head }>()
        const positions = entries.map(({ topic, partition, encoded, key, isTombstone }) => {
          const name = `${topic.id}/${partition}`
          const head = heads.get(name)?.head ?? catalog.head(topic, partition)
          const offset = head.next
          const time = Math.max(now(), head.time)
          stampRecord(encoded, time)
          database.records.put(recordKey(topic.id, partition, offset), encoded)
          database.times.put(timeKey(topic.id, partition, time, offset), Buffer.from([isTombstone ? 1 : 0]))
          if (topic.compacted && key !== null) replaceNewest(topic, partition, key, offset, time)
          heads.set(name, { topic, partition, head: { ...head, next: offset + 1, time } })
          return { topic: topic.name, partition, offset }
        })
        for (const { topic, partition, head } of heads.values()) {
          database.heads.put(headKey(topic.id, partition), encodeHead(head))
        }
        return positions
      })
    },
    read(topic, partition, from, limits) {
      database.refresh()
      const head = catalog.head(topic, partition)
      const records: StoredRecord[] = []
      let next = Math.max(from, head.earliest)
      let size = 0
      if (next >= head.next) return { records, next }
      const start = recordKey(topic.id, partition, next)
      const end = recordKey(topic.id, partition, head.next)
      for (const { key, value } of database.records.getRange({ start, end, limit: limits.count })) {
        if (records.length > 0 && size + value.length > limits.bytes) return { records, next }
        const offset = offsetOfRecordKey(key)
        records.push(decodeRecord(value, topic.name, partition, offset))
        size += value.length
        next = offset + 1
      }
      // What lies between here and the head has been compacted away.
      return { records, next: records.length < limits.count ? head.next : next }
    },
    offsetAt(topic, partition, time) {
      database.refresh()
      const start = timeKey(topic.id, partition, Math.max(0, Math.ceil(time)), 0)
      const end = timeKey(topic.id, partition, Number.MAX_SAFE_INTEGER, 0)
      for (const { key } of database.times.getRange({ start, end, limit: 1 })) return readTimeKey(key).offset
      return catalog.head(topic, partition).next
    },
  }

  /** Compaction happens as records come: the record that held the key before goes. */
  function replaceNewest(topic: Topic, partition: number, key: string, offset: number, time: number): void {
    const name = nameKey(topic.id, partition, key)
    const previous = database.keys.get(name)
    if (previous !== undefined) {
      const place = decodePlace(previous)
      database.records.remove(recordKey(topic.id, partition, place.offset))
      database.times.remove(timeKey(topic.id, partition, place.time, place.offset))
    }
    database.keys.put(name, encodePlace(offset, time))
  }
}
