import { Config, definitions, resourcesTopic, topicOf } from '@margay/schemas'
import { Value } from 'typebox/value'
import { expect, it } from 'vitest'
import { allTopics, deadLettersOf } from '../src/topics.ts'

const config = Value.Default(Config, { log: { adapter: 'kafka', kafka: { partitions: 12 } } }) as Config
const topics = new Map(allTopics(config).map((topic) => [topic.name, topic]))
const day = 86_400_000

it('has a topic and a topic of dead letters for every kind of event', () => {
  for (const definition of definitions) {
    expect(topics.get(topicOf(definition))).toMatchObject({ partitions: 12, compacted: false })
    expect(topics.get(deadLettersOf(topicOf(definition)))).toMatchObject({ partitions: 1, retentionMs: 30 * day })
  }
  expect(topics.size).toBe(2 * definitions.length + 1)
})

it('keeps events a week, audit events a month, resources for ever', () => {
  expect(topics.get('margay.flow.v1')?.retentionMs).toBe(7 * day)
  expect(topics.get('margay.audit.v1')?.retentionMs).toBe(30 * day)
  expect(topics.get(resourcesTopic)).toEqual({ name: resourcesTopic, partitions: 1, retentionMs: -1, compacted: true })
})

it('takes the number of partitions from the adapter in use', () => {
  const embedded = Value.Default(Config, {}) as Config
  expect(allTopics(embedded).every(({ partitions }) => partitions === 1)).toBe(true)
})
