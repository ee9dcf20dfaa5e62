import { definitions, resourcesTopic, topicOf } from '@margay/schemas'
import type { Config } from './config.ts'
import type { TopicSpec } from './event-log.ts'

const dayMs = 24 * 3_600_000
/** Days that the log keeps events for replay; tables keep them longer. */
const eventDays = 7
/** Days that the log keeps what must not be lost while someone looks away: audit events and dead letters. */
const longDays = 30

/** The topic of the blocks that a consumer of `topic` could not handle. */
export function deadLettersOf(topic: string): string {
  return `${topic}.dlq`
}

/** Every topic of the product: one for each kind of event, its dead letters, and the compacted topic of resources. */
export function allTopics(config: Config): TopicSpec[] {
  const { partitions } = config.log[config.log.adapter]
  const topics: TopicSpec[] = definitions.flatMap((definition) => {
    const days = Math.min(definition.retentionDays, definition.kind === 'audit' ? longDays : eventDays)
    const name = topicOf(definition)
    return [
      { name, partitions, retentionMs: days * dayMs, compacted: false },
      { name: deadLettersOf(name), partitions: 1, retentionMs: longDays * dayMs, compacted: false },
    ]
  })
  return [...topics, { name: resourcesTopic, partitions: 1, retentionMs: -1, compacted: true }]
}
