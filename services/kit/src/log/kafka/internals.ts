import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'

/*
 * The parts of kafkajs that it does not export. It has no reader without a group, and one of its timers never rests.
 * Everything that depends on its insides is in this file; the version is pinned in package.json.
 */

const require = createRequire(import.meta.url)

/** Metadata of one partition. */
interface PartitionMetadata {
  readonly partitionId: number
  readonly leader: number
}

/** Where to fetch in one topic. */
interface FetchTopic {
  readonly topic: string
  readonly partitions: { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[]
}

/** One message as kafkajs decodes it. */
export interface Message {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>
}

/** What a fetch gave for one partition: `messages` without control records and aborted transactions. */
interface MessageBatch {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly Message[]
  readonly rawMessages: readonly unknown[]
  /** Offset of the last record, control records included. */
  lastOffset(): string
}

/** Answer to a fetch for one partition. */
interface PartitionData {
  readonly partition: number
  /** Offset before which every transaction is decided: the end, for who reads what is committed. */
  readonly lastStableOffset: string
}

/** A connection to a cluster without a consumer group. */
export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  metadata(options: { topics: string[] }): Promise<{
    topicMetadata: { topic: string; partitionMetadata: PartitionMetadata[] }[]
  }>
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Record<string, number[]>
  findBroker(options: { nodeId: string }): Promise<BrokerConnection>
}

/** A connection to one broker. */
interface BrokerConnection {
  fetch(options: {
    maxWaitTime: number
    minBytes: number
    maxBytes: number
    isolationLevel: number
    topics: readonly FetchTopic[]
  }): Promise<{ responses: { topicName: string; partitions: PartitionData[] }[] }>
  /** Timestamp -1 asks for the end, -2 for the start. */
  listOffsets(options: {
    isolationLevel: number
    topics: readonly { topic: string; partitions: { partition: number; timestamp: number }[] }[]
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>
}

/** Everything is read, what transactions have not decided yet too. */
export const readUncommitted = 0
/** Only committed transactions are read, as kafkajs consumers do. */
export const readCommitted = 1

/** Makes a connection of its own for a client. */
export function createCluster(kafka: Kafka): Cluster {
  const name = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  if (name === undefined)
    throw new Error('this version of kafkajs has no cluster to build on; 2.2.4 is known to have one')
  const make = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[name]
  return make?.({ metadataMaxAge: 60_000, allowAutoTopicCreation: false, isolationLevel: readCommitted }) as Cluster
}

const Batch = require('kafkajs/src/consumer/batch') as new (
  topic: string,
  offset: string,
  data: PartitionData,
) => MessageBatch

/** Reads the answer to a fetch of one partition from an offset. */
export function toBatch(topic: string, offset: string, data: PartitionData): MessageBatch {
  return new Batch(topic, offset, data)
}

interface RequestQueue {
  pending: unknown[]
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
}

const pendingCheckMs = 10

/**
 * Puts the timer of kafkajs's request queues to rest. As it comes, each connection plans its next look at waiting requests
 * even when none waits, with a negative delay that Node makes one millisecond: a thousand turns a second and, from
 * Node 24, a warning (tulios/kafkajs#1751). A request that has to wait plans the look itself, so an empty queue needs none.
 */
export function restTimers(): void {
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
  prototype.scheduleCheckPendingRequests = function schedule(this: RequestQueue) {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    const throttled = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      throttled > 0 ? throttled : pendingCheckMs,
    )
  }
}
