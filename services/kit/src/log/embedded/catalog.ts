import { MargayError } from '../../errors.ts'
import type { TopicSpec } from '../../event-log.ts'
import type { Database } from './database.ts'
import { decodeHead, type Head, headKey } from './layout.ts'

/** A topic as the folder keeps it. */
export interface Topic extends TopicSpec {
  /** Small number that stands for the name in keys. */
  readonly id: number
}

/** The topics of the folder. They are only ever added, so what was read once stays true. */
export interface Catalog {
  create(specs: readonly TopicSpec[]): Promise<void>
  /** Throws LOG_TOPIC_UNKNOWN. */
  find(name: string): Topic
  /** As find, and checks that the topic has the partition; throws LOG_TOPIC_UNKNOWN when it has not. */
  check(name: string, partition: number): Topic
  list(): Topic[]
  /** Bounds of a partition as the newest commit, or the write transaction under way, has them. */
  head(topic: Topic, partition: number): Head
}

/** Makes the catalogue of an open folder. */
export function createCatalog(database: Database): Catalog {
  const known = new Map<string, Topic>()

  function load(): void {
    for (const { value } of database.topics.getRange()) {
      const topic = JSON.parse(value.toString()) as Topic
      known.set(topic.name, topic)
    }
  }

  function find(name: string): Topic {
    let topic = known.get(name)
    if (topic === undefined) {
      database.refresh()
      load()
      topic = known.get(name)
    }
    if (topic === undefined) throw unknownTopic(name)
    return topic
  }

  return {
    find,
    check(name, partition) {
      const topic = find(name)
      if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions) {
        throw new MargayError(
          'LOG_TOPIC_UNKNOWN',
          `topic ${name} has ${topic.partitions} partitions, none is ${partition}`,
        )
      }
      return topic
    },
    list() {
      database.refresh()
      load()
      return [...known.values()]
    },
    head: (topic, partition) => decodeHead(database.heads.get(headKey(topic.id, partition))),
    async create(specs) {
      database.refresh()
      load()
      const missing = specs.filter((spec) => !known.has(spec.name))
      if (missing.length === 0) return
      await database.write(() => {
        let id = database.topics.getKeysCount()
        for (const spec of missing) {
          const key = Buffer.from(spec.name)
          if (database.topics.get(key) !== undefined) continue // another process was faster
          id += 1
          database.topics.put(key, Buffer.from(JSON.stringify({ ...spec, id } satisfies Topic)))
        }
      })
    },
  }
}

/** The error for a topic that nobody made. */
function unknownTopic(name: string): MargayError {
  return new MargayError('LOG_TOPIC_UNKNOWN', `the event log has no topic ${name}; make it with createTopics`)
}
