import type { Kafka } from 'kafkajs'
import { MargayError } from '../../errors.ts'
import type { Position, StoredRecord } from '../../event-log.ts'
import { fetchWaitMs, patiently } from './client.ts'
import { type Cluster, createCluster, readCommitted, readUncommitted, toBatch } from './internals.ts'
import { toRecord } from './messages.ts'

/** What a fetch gave for one partition. */
interface Fetched {
  readonly topic: string
  readonly partition: number
  readonly records: StoredRecord[]
  /** Offset to fetch from next; past control records, which are not in `records`. */
  readonly next: number
}

/**
 * Where to look in a topic: its start, its end, the end of what is decided, or a time (unix ms). Records of a transaction
 * are there, and their append has been answered, a moment before they are decided and can be read.
 */
export type Where = 'earliest' | 'latest' | 'decided' | { readonly time: number }

/** Reads without a group, over a connection of its own. After an error it is of no use: close it and make another. */
export interface Reader {
  /** Partitions of each topic that exists, of all topics the client may see. */
  topics(): Promise<Map<string, number>>
  /** An offset of every partition of a topic; for a time that no record has reached, null. */
  locate(topic: string, partitions: number, where: Where): Promise<(number | null)[]>
  /** Groups partitions by the broker that leads them. */
  leaders<P extends Omit<Position, 'offset'>>(positions: readonly P[]): Promise<Map<string, P[]>>
  /** Waits up to half a second for records of partitions that one broker leads. */
  fetch(leader: string, positions: readonly Position[], maxBytes: number): Promise<Fetched[]>
  close(): Promise<void>
}

/** Connects a reader for some topics. */
export async function openReader(kafka: Kafka, topics: readonly string[]): Promise<Reader> {
  const cluster: Cluster = createCluster(kafka)
  try {
    await patiently(cluster.connect())
    if (topics.length > 0) await patiently(cluster.addMultipleTargetTopics(topics))
  } catch (error) {
    void cluster.disconnect().catch(() => {})
    throw error
  }
  /** Groups partitions by their leader. */
  async function leaders<P extends Omit<Position, 'offset'>>(positions: readonly P[]): Promise<Map<string, P[]>> {
    await cluster.refreshMetadataIfNecessary()
    const groups = new Map<string, P[]>()
    for (const position of positions) {
      const [leader] = Object.keys(cluster.findLeaderForPartitions(position.topic, [position.partition]))
      if (leader === undefined) throw new Error(`no broker leads partition ${position.partition} of ${position.topic}`)
      groups.set(leader, [...(groups.get(leader) ?? []), position])
    }
    return groups
  }

  return {
    async topics() {
      const { topicMetadata } = await patiently(cluster.metadata({ topics: [] }))
      return new Map(topicMetadata.map(({ topic, partitionMetadata }) => [topic, partitionMetadata.length]))
    },
    async locate(topic, partitions, where) {
      await patiently(cluster.addMultipleTargetTopics([topic]))
      const timestamp = typeof where === 'object' ? where.time : where === 'earliest' ? -2 : -1
      const isolationLevel = where === 'decided' ? readCommitted : readUncommitted
      const offsets: (number | null)[] = Array.from({ length: partitions }, () => null)
      const all = offsets.map((_, partition) => ({ topic, partition }))
      for (const [leader, mine] of await leaders(all)) {
        const broker = await cluster.findBroker({ nodeId: leader })
        const query = [{ topic, partitions: mine.map(({ partition }) => ({ partition, timestamp })) }]
        const { responses } = await patiently(broker.listOffsets({ isolationLevel, topics: query }))
        for (const { partition, offset } of responses.flatMap((answer) => answer.partitions)) {
          offsets[partition] = Number(offset) < 0 ? null : Number(offset)
        }
      }
      return offsets
    },
    leaders,
    async fetch(leader, positions, maxBytes) {
      const topics = [...new Set(positions.map(({ topic }) => topic))].map((topic) => ({
        topic,
        partitions: positions
          .filter((position) => position.topic === topic)
          .map(({ partition, offset }) => ({ partition, fetchOffset: String(offset), maxBytes })),
      }))
      const broker = await cluster.findBroker({ nodeId: leader })
      const { responses } = await broker.fetch({
        maxWaitTime: fetchWaitMs,
        minBytes: 1,
        maxBytes: 8 * maxBytes,
        isolationLevel: readCommitted,
        topics,
      })
      const answers = responses.flatMap(({ topicName: topic, partitions }) =>
        partitions.map((data) => {
          const from = positions.find((one) => one.topic === topic && one.partition === data.partition)?.offset ?? 0
          return { topic, data, from, batch: toBatch(topic, String(from), data) }
        }),
      )
      // Nothing anywhere, so no limit cut anything off: what lies before the end of a partition has been compacted away.
      const isEmpty = answers.every(({ batch }) => batch.rawMessages.length === 0)
      return answers.map(({ topic, data, from, batch }) => {
        const reached = batch.rawMessages.length > 0 ? Number(batch.lastOffset()) + 1 : from
        return {
          topic,
          partition: data.partition,
          records: batch.messages.map((message) => toRecord(topic, data.partition, message)),
          next: Math.max(from, isEmpty ? Number(data.lastStableOffset) : reached),
        }
      })
    },
    close: () => cluster.disconnect(),
  }
}

/** The error for a topic or partition that does not exist. */
export function unknownTopic(topic: string): MargayError {
  return new MargayError('LOG_TOPIC_UNKNOWN', `the event log has no topic ${topic}; make it with createTopics`)
}

/** True when retention has taken the offset that was asked for. */
export function isOutOfRange(error: unknown): boolean {
  return (error as { type?: unknown }).type === 'OFFSET_OUT_OF_RANGE'
}
