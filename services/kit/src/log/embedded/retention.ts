import type { Catalog, Topic } from './catalog.ts'
import type { Database } from './database.ts'
import { decodePlace, decodeRecord, encodeHead, headKey, nameKey, readTimeKey, recordKey, timeKey } from './layout.ts'

/** Records taken away in one transaction, so that the write lock is never held for long. */
const portion = 256

/**
 * Takes away what retention no longer keeps: records older than their topic's span and, in compacted topics,
 * tombstones older than `tombstoneMs`. Calls `removed` for each topic that lost records.
 */
export async function expire(
  database: Database,
  catalog: Catalog,
  time: { readonly now: number; readonly tombstoneMs: number },
  removed: (topic: string, reason: 'expired' | 'compacted', records: number) => void,
): Promise<void> {
  for (const topic of catalog.list()) {
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      if (topic.compacted) {
        const count = await dropTombstones(database, topic, partition, time.now - time.tombstoneMs)
        if (count > 0) removed(topic.name, 'compacted', count)
      } else if (topic.retentionMs >= 0) {
        const count = await dropOld(database, catalog, topic, partition, time.now - topic.retentionMs)
        if (count > 0) removed(topic.name, 'expired', count)
      }
    }
  }
}

/** Entries of the time index before a time. */
function entriesBefore(database: Database, topic: Topic, partition: number, before: number, limit: number) {
  const range = {
    start: timeKey(topic.id, partition, 0, 0),
    end: timeKey(topic.id, partition, Math.max(0, before), 0),
    limit,
  }
  return [...database.times.getRange(range)].map(({ key, value }) => ({ key, ...readTimeKey(key), mark: value[0] }))
}

async function dropOld(
  database: Database,
  catalog: Catalog,
  topic: Topic,
  partition: number,
  before: number,
): Promise<number> {
  let total = 0
  for (;;) {
    database.refresh()
    if (entriesBefore(database, topic, partition, before, 1).length === 0) return total
    total += await database.write(() => {
      const old = entriesBefore(database, topic, partition, before, portion)
      for (const { key, offset } of old) {
        database.records.remove(recordKey(topic.id, partition, offset))
        database.times.remove(key)
      }
      const last = old.at(-1)
      if (last !== undefined) {
        const head = catalog.head(topic, partition)
        database.heads.put(headKey(topic.id, partition), encodeHead({ ...head, earliest: last.offset + 1 }))
      }
      return old.length
    })
  }
}

async function dropTombstones(database: Database, topic: Topic, partition: number, before: number): Promise<number> {
  database.refresh()
  const dead = entriesBefore(database, topic, partition, before, Number.MAX_SAFE_INTEGER).filter(
    ({ mark }) => mark === 1,
  )
  if (dead.length === 0) return 0
  return database.write(() => {
    let count = 0
    for (const { key, offset } of dead) {
      const place = recordKey(topic.id, partition, offset)
      const value = database.records.get(place)
      if (value === undefined) continue // its key has been written again meanwhile
      const record = decodeRecord(value, topic.name, partition, offset)
      if (record.key !== null) {
        const name = nameKey(topic.id, partition, record.key)
        const newest = database.keys.get(name)
        if (newest !== undefined && decodePlace(newest).offset === offset) database.keys.remove(name)
      }
      database.records.remove(place)
      database.times.remove(key)
      count += 1
    }
    return count
  })
}
