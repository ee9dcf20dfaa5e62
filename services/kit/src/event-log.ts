import type { Component } from './component.ts'

/** One record as it is written. A null value is a tombstone in a compacted topic. */
export interface LogRecord {
  readonly topic: string
  /** Chosen by the adapter (from the key) when absent. */
  readonly partition?: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

/** One record as it is read. */
export interface StoredRecord {
  readonly topic: string
  readonly partition: number
  /** Grows inside a partition; not dense: compaction, retention and transactions leave gaps. */
  readonly offset: number
  /** When the log took it, unix milliseconds; never goes back inside a partition. */
  readonly timestamp: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/** Where a record lies. */
export interface Position {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** A topic as it should be. */
export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /** Milliseconds kept; -1 for ever. */
  readonly retentionMs: number
  /** Keep the newest record of each key instead of a time span. */
  readonly compacted: boolean
}

/** Records of one partition, in order. */
export interface Batch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly StoredRecord[]
}

/** What a member of a group reads and how. */
export interface ConsumeOptions {
  /** Consumers of one group share the partitions of a topic; the log remembers the group's offsets. */
  readonly group: string
  readonly topics: readonly string[]
  /** Where a group without offsets begins. */
  readonly from: 'earliest' | 'latest'
  /** Bytes of values in one batch at most (one record may be larger). */
  readonly maxBytes?: number
  /**
   * Called with one batch at a time for each partition. The group's offset moves past the batch when the promise resolves;
   * when it rejects the batch is delivered again after a pause. Long work must be bounded by the caller.
   */
  handle(batch: Batch): Promise<void>
}

/** A member of a consumer group. */
export interface Consumer {
  pause(): void
  resume(): void
  /** Leaves the group after the batch under way. */
  close(): Promise<void>
}

/** What a tail reads and how. */
export interface TailOptions {
  readonly topics: readonly string[]
  /** Where to begin: every record, new ones only, or the first at or after a time (unix ms). */
  readonly from: 'earliest' | 'latest' | { readonly time: number }
  /**
   * Called in order for each partition and one at a time over all of them, with no group and nothing remembered.
   * A batch that is rejected comes again after a pause, and nothing else before it.
   */
  handle(batch: Batch): void | Promise<void>
  /** Called once, when everything that the topics held at the start of the tail has been handled. */
  caughtUp?(): void
}

/**
 * The event log: durable, partitioned, replayable. Two adapters pass one contract test: Kafka and embedded (LMDB).
 * A failing log rejects with a MargayError of code LOG_UNAVAILABLE within seconds; callers retry (the records of a rejected
 * append may be there all the same). Naming a topic or partition that does not exist rejects with LOG_TOPIC_UNKNOWN.
 * Consumers and tails survive an outage of the log by themselves.
 */
export interface EventLog extends Component {
  /** Makes the topics that do not exist; never shrinks or changes one that does. */
  createTopics(topics: readonly TopicSpec[]): Promise<void>
  /** Resolves when the records are durable, with their places. All are written or none, also across topics. */
  append(records: readonly LogRecord[]): Promise<Position[]>
  consume(options: ConsumeOptions): Promise<Consumer>
  /** Follows topics from a position until closed. */
  tail(options: TailOptions): Promise<{ close(): Promise<void> }>
  /** Records of one partition from an offset on, at most `limit`. */
  read(from: Position, limit: number): Promise<StoredRecord[]>
  /** Earliest offset kept and next offset to be written, for each partition. */
  offsets(topic: string): Promise<{ partition: number; earliest: number; next: number }[]>
  /** First offset whose record's timestamp is at or after `time`, for each partition (`next` if none). */
  offsetsAt(topic: string, time: number): Promise<{ partition: number; offset: number }[]>
  /** Offsets that the group would read next; partitions it never committed are missing. */
  committed(group: string, topic: string): Promise<{ partition: number; offset: number }[]>
  /** Moves a group that has no running member, so that it reads from `offset` next. Rejects with LOG_GROUP_ACTIVE if it has one. */
  seek(group: string, position: Position): Promise<void>
}
