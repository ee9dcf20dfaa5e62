import type { Kafka } from 'kafkajs'
import { MargayError } from '../../errors.ts'
import type { Position, StoredRecord } from '../../event-log.ts'
import { fetchWaitMs, patiently } from './client.ts'
import { type Cluster, createCluster, readCommitted, toBatch } from './internals.ts'
import { toRecord } from './messages.ts'

/** What a fetch gave for one partition. */
export interface Fetched {
  readonly topic: string
  readonly partition: number
  readonly records: StoredRecord[]
  /** Offset to fetch from next; past control records, which are not in `records`. */
  readonly next: number
}

/** Where to look in a topic: an end, or a time (unix ms). */
export type Where = 'earliest' | 'latest' | { readonly time: number }

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
  return {
    async topics() {
      const { topicMetadata } = await patiently(cluster.metadata({ topics: [] }))
      return new Map(topicMetadata.map(({ topic, partitionMetadata }) => [topic, partitionMetadata.length]))
    },
    async locate(topic, partitions, where) {
      await cluster.addMultipleTargetTopics([topic])
      const query = {
        topic,
        partitions: Array.from({ length: partitions }, (_, partition) => ({ partition })),
        ...(typeof where === 'object' ? { fromTimestamp: where.time } : { fromBeginning: where === 'earliest' }),
      }
      const [answer] = await patiently(cluster.fetchTopicsOffset([query]))
      const offsets = new Map(answer?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
      return Array.from({ length: partitions }, (_, partition) => {
        const offset = offsets.get(partition) ?? -1
        return offset < 0 ? null : offset
      })
    },
    async leaders(positions) {
      await cluster.refreshMetadataIfNecessary()
      const groups = new Map<string, (typeof positions)[number][]>()
      for (const position of positions) {
        const [leader] = Object.keys(cluster.findLeaderForPartitions(position.topic, [position.partition]))
        if (leader === undefined)
          throw new Error(`no broker leads partition ${position.partition} of ${position.topic}`)
        groups.set(leader, [...(groups.get(leader) ?? []), position])
      }
      return groups
    },
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
      return responses.flatMap(({ topicName: topic, partitions }) =>
        partitions.map((data) => {
          const { partition } = data
          const from = positions.find((one) => one.topic === topic && one.partition === partition)?.offset ?? 0
          const batch = toBatch(topic, String(from), data)
          const records = batch.messages.map((message) => toRecord(topic, partition, message))
          const next = batch.rawMessages.length === 0 ? from : Math.max(from, Number(batch.lastOffset()) + 1)
          return { topic, partition, records, next }
        }),
      )
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
