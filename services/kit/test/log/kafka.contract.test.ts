import { setTimeout } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Broker, startBroker } from '../../../../infra/kafka/broker.ts'
import type { EventLog } from '../../src/event-log.ts'
import { createKafkaLog } from '../../src/log/kafka/adapter.ts'
import { createReporter } from '../../src/reporter.ts'
import { collect, makeTopic, text, until } from './probe.ts'

describe('kafka event log', () => {
  let broker: Broker
  const opened: EventLog[] = []
  async function open(topics: Parameters<typeof createKafkaLog>[0]['topics'] = []): Promise<EventLog> {
    const config = { brokers: broker.brokers, clientId: 'test', replicationFactor: 1, tls: false, topics }
    const log = createKafkaLog(config, { reporter: createReporter('test', { level: 'silent' }) })
    opened.push(log)
    await log.start?.()
    return log
  }

  beforeAll(async () => {
    broker = await startBroker({ properties: { 'log.cleaner.backoff.ms': '100' } })
  })
  afterAll(async () => {
    for (const log of opened) await log.stop?.()
    await broker.stop()
  })

  it('rests when idle: no timer without end, next to no CPU', async () => {
    const log = await open()
    const topic = await makeTopic(log, 'idle', { partitions: 4 })
    const seen = collect()
    const tail = await log.tail({ topics: [topic], from: 'earliest', handle: async () => {} })
    const consumer = await log.consume({ group: 'idle', topics: [topic], from: 'earliest', handle: seen.handle })
    await log.append([text(topic, 'a')])
    await until(() => seen.records.length === 1)
    await setTimeout(500)
    const real = globalThis.setTimeout
    const delays: number[] = []
    globalThis.setTimeout = ((action: () => void, delay = 0, ...rest: unknown[]) => {
      delays.push(delay)
      return real(action, delay, ...rest)
    }) as typeof globalThis.setTimeout
    const before = process.cpuUsage()
    await setTimeout(3000)
    const { user, system } = process.cpuUsage(before)
    globalThis.setTimeout = real
    expect(delays.filter((delay) => delay < 0)).toEqual([])
    expect(delays.length).toBeLessThan(60) // the timer of kafkajs as it comes: about a thousand for each connection and second
    expect((user + system) / 3_000_000).toBeLessThan(0.05)
    await tail.close()
    await consumer.close()
  })

  it('reads a topic that the broker has compacted, gaps and all', async () => {
    const log = await open()
    const topic = 'cleaned'
    const admin = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const quick = {
      'cleanup.policy': 'compact',
      'segment.ms': '50',
      'min.cleanable.dirty.ratio': '0.01',
      'delete.retention.ms': '0',
    }
    const configEntries = Object.entries(quick).map(([name, value]) => ({ name, value }))
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }] })
    await admin.disconnect()
    for (const key of ['a', 'b', 'a', 'b']) {
      await log.append([text(topic, `${key} of old`, { key })])
      await setTimeout(60) // a record that comes after `segment.ms` begins a segment; only closed ones are cleaned
    }
    await log.append([{ topic, key: 'a', value: null }])
    let kept: number[] = []
    await until(() => {
      void log.read({ topic, partition: 0, offset: 0 }, 100).then((records) => {
        kept = records.map(({ offset }) => offset)
      })
      return kept.length > 0 && kept.length <= 3
    })
    const seen = collect()
    let isCaughtUp = false
    const caughtUp = () => {
      isCaughtUp = true
    }
    const tail = await log.tail({ topics: [topic], from: 'earliest', handle: seen.handle, caughtUp })
    await until(() => isCaughtUp)
    expect(Object.fromEntries(seen.records.map(({ key, value }) => [key, value?.toString() ?? null]))).toEqual({
      a: null,
      b: 'b of old',
    })
    expect(await log.offsets(topic)).toEqual([{ partition: 0, earliest: 0, next: 5 }])
    await tail.close()
  })

  it('refuses appends in bounded time while the broker is down, says so, and goes on by itself', async () => {
    const log = await open()
    const left = await makeTopic(log, 'left')
    const right = await makeTopic(log, 'right')
    const consumed = collect()
    const tailed = collect()
    await log.consume({ group: 'outage', topics: [left], from: 'earliest', handle: consumed.handle })
    await log.tail({ topics: [right], from: 'earliest', handle: tailed.handle })
    const acknowledged: string[] = []
    let isEnding = false
    let slowest = 0
    const appending = (async () => {
      for (let turn = 0; !isEnding; turn += 1) {
        const started = performance.now()
        const one = turn % 2 === 0 // every other append is a transaction over both topics
        try {
          await log.append(one ? [text(left, `l${turn}`)] : [text(left, `t${turn}`), text(right, `t${turn}`)])
          acknowledged.push(one ? `l${turn}` : `t${turn}`)
        } catch (error) {
          expect(error).toMatchObject({ code: 'LOG_UNAVAILABLE' })
        }
        slowest = Math.max(slowest, performance.now() - started)
        await setTimeout(5)
      }
    })()
    await until(() => acknowledged.length >= 20)
    await broker.kill()
    const late = open([{ name: 'late', partitions: 1, retentionMs: -1, compacted: false }]) // starts without a broker
    await until(() => log.health?.().state === 'degraded', 12_000)
    expect(log.health?.().reason).toContain(broker.brokers[0])
    await late
    const before = acknowledged.length
    await broker.restart()
    await until(() => acknowledged.length >= before + 20, 30_000)
    isEnding = true
    await appending
    expect(slowest).toBeLessThan(12_000)
    expect(log.health?.()).toEqual({ state: 'ok' })
    await until(() => acknowledged.every((value) => consumed.values.includes(value)), 20_000)
    const transactions = acknowledged.filter((value) => value.startsWith('t'))
    await until(() => transactions.every((value) => tailed.values.includes(value)), 20_000)
    const valuesOf = async (topic: string) =>
      (await log.read({ topic, partition: 0, offset: 0 }, 1e6)).map(({ value }) => value?.toString() ?? '')
    expect((await valuesOf(left)).filter((value) => value.startsWith('t'))).toEqual(await valuesOf(right))
    await until(() => opened.at(-1)?.health?.().state === 'ok', 20_000)
    await (await late).append([text('late', 'made after all')])
  })
})
