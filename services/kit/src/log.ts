import { join } from 'node:path'
import type { Config } from './config.ts'
import type { EventLog } from './event-log.ts'
import { createEmbeddedLog } from './log/embedded/adapter.ts'
import { createKafkaLog } from './log/kafka/adapter.ts'
import type { Reporter } from './reporter.ts'
import { allTopics } from './topics.ts'

/**
 * The event log that the configuration asks for: a folder shared by the processes of this machine, or Kafka.
 * Its start makes the topics of the product that do not exist yet.
 */
export function createEventLog(config: Config, deps: { readonly reporter: Reporter }): EventLog {
  const topics = allTopics(config)
  const { adapter, embedded, kafka } = config.log
  return adapter === 'kafka'
    ? createKafkaLog({ ...kafka, topics }, deps)
    : createEmbeddedLog({ dir: embedded.dir ?? join(config.home, 'log'), topics }, deps)
}
