import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker } from '../../../../infra/kafka/broker.ts'
import type { EventLog } from '../../src/event-log.ts'
import { createEmbeddedLog } from '../../src/log/embedded/adapter.ts'
import { createKafkaLog } from '../../src/log/kafka/adapter.ts'
import { createReporter } from '../../src/reporter.ts'
import { collect, makeTopic, series, text, until } from './probe.ts'

/** A log under test: `open` gives a new client of it, as another process would have. */
interface Bench {
  open(): Promise<EventLog>
  end(): Promise<void>
}

const reporter = () => createReporter('test', { level: 'silent' })

async function embedded(): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'margay-log-'))
  return {
    async open() {
      const log = createEmbeddedLog({ dir, topics: [] }, { reporter: reporter() })
      await log.start?.()
      return log
    },
    async end() {
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function kafka(): Promise<Bench> {
  const broker = await startBroker()
  return {
    async open() {
      const config = { brokers: broker.brokers, clientId: 'test', replicationFactor: 1, tls: false, topics: [] }
      const log = createKafkaLog(config, { reporter: reporter() })
      await log.start?.()
      return log
    },
    end: () => broker.stop(),
  }
}

describe.each([
  { adapter: 'embedded', start: embedded },
  { adapter: 'kafka', start: kafka },
])('event log, $adapter', ({ start }) => {
  let bench: Bench
  let log: EventLog
  const clients: EventLog[] = []
  async function open(): Promise<EventLog> {
    const client = await bench.open()
    clients.push(client)
    return client
  }
  async function close(client: EventLog): Promise<void> {
    clients.splice(clients.indexOf(client), 1)
    await client.stop?.()
  }

  beforeAll(async () => {
    bench = await start()
    log = await open()
  })
  afterAll(async () => {
    for (const client of [...clients]) await close(client)
    await bench.end()
  })

  it('gives back every part of a record', async () => {
    const topic = await makeTopic(log, 'parts', { partitions: 2 })
    const before = Date.now()
    const value = Buffer.from([0, 255, 10, 13])
    const headers = { 'content-type': 'x', naïve: 'ü', empty: '' }
    const positions = await log.append([{ topic, partition: 1, key: 'ключ', value, headers }])
    expect(positions).toEqual([{ topic, partition: 1, offset: expect.any(Number) }])
    await log.append([{ topic, partition: 1, key: null, value: null }])
    const { offset } = positions[0] as { offset: number }
    const [first, second] = await log.read({ topic, partition: 1, offset }, 10)
    expect(first).toMatchObject({ topic, partition: 1, offset, key: 'ключ', headers })
    expect(first?.value).toEqual(value)
    expect(first?.timestamp).toBeGreaterThanOrEqual(before - 1000)
    expect(first?.timestamp).toBeLessThanOrEqual(Date.now() + 1000)
    expect(second).toMatchObject({ key: null, value: null, headers: {} })
    expect(second?.timestamp).toBeGreaterThanOrEqual(first?.timestamp as number)
  })

  it('keeps order and loses nothing when many append at once', async () => {
    const topic = await makeTopic(log, 'order')
    const positions = await Promise.all(series('v', 100).map((value) => log.append([text(topic, value)])))
    const seen = collect()
    const consumer = await log.consume({ group: 'order', topics: [topic], from: 'earliest', handle: seen.handle })
    await until(() => seen.records.length === 100)
    await consumer.close()
    expect(seen.records.map(({ offset }) => offset)).toEqual(seen.records.map((_, index) => index))
    for (const [index, [position]] of positions.entries()) {
      expect(seen.values[position?.offset as number]).toBe(`v${index}`)
    }
  })

  it('puts records of one key into one partition', async () => {
    const topic = await makeTopic(log, 'keys', { partitions: 4 })
    const positions = await log.append(series('', 40).map((n) => text(topic, n, { key: `key-${Number(n) % 8}` })))
    const places = new Map<string, Set<number>>()
    for (const [index, { partition }] of positions.entries()) {
      const key = `key-${index % 8}`
      places.set(key, (places.get(key) ?? new Set()).add(partition))
    }
    expect([...places.values()].every(({ size }) => size === 1)).toBe(true)
    expect(new Set(positions.map(({ partition }) => partition)).size).toBeGreaterThan(1)
  })

  it('keeps records, topics and offsets of groups when opened anew', async () => {
    const topic = await makeTopic(log, 'durable')
    const first = await open()
    await first.append(series('a', 10).map((value) => text(topic, value)))
    const seen = collect()
    const consumer = await first.consume({ group: 'durable', topics: [topic], from: 'earliest', handle: seen.handle })
    await until(() => seen.records.length === 10)
    await consumer.close()
    await close(first)
    const second = await open()
    await second.append([text(topic, 'b')])
    const more = collect()
    await second.consume({ group: 'durable', topics: [topic], from: 'earliest', handle: more.handle })
    await until(() => more.records.length > 0)
    expect(more.values).toEqual(['b'])
    expect((await second.read({ topic, partition: 0, offset: 0 }, 100)).length).toBe(11)
    await close(second)
  })

  it('delivers a batch again when its handler rejects, and nothing after it before', async () => {
    const topic = await makeTopic(log, 'again')
    let attempts = 0
    const seen = collect(() => {
      attempts += 1
      if (attempts <= 2) throw new Error('not yet')
    })
    const consumer = await log.consume({ group: 'again', topics: [topic], from: 'earliest', handle: seen.handle })
    await log.append(series('a', 5).map((value) => text(topic, value)))
    await until(() => attempts > 0)
    expect(await log.committed('again', topic)).toEqual([])
    await log.append([text(topic, 'b')])
    await until(() => seen.records.length >= 6)
    await consumer.close()
    expect(seen.values).toEqual([...series('a', 5), 'b'])
    expect(await log.committed('again', topic)).toEqual([{ partition: 0, offset: 6 }])
  })

  it('begins at the end for a new group that asks for the latest', async () => {
    const topic = await makeTopic(log, 'latest')
    await log.append([text(topic, 'old')])
    const seen = collect()
    const consumer = await log.consume({ group: 'latest', topics: [topic], from: 'latest', handle: seen.handle })
    let sent = 0
    // A broker decides where the end is once the member has joined: send until the first arrives.
    while (seen.records.length === 0) {
      await log.append([text(topic, `new${sent}`)])
      sent += 1
      await setTimeout(50)
    }
    await until(() => seen.values.at(-1) === `new${sent - 1}`)
    expect(seen.values).not.toContain('old')
    await consumer.close()
  })

  it('shares partitions among the members of a group and moves them when one leaves', async () => {
    const topic = await makeTopic(log, 'share', { partitions: 4 })
    const other = await open()
    const a = collect()
    const b = collect()
    const first = await log.consume({ group: 'share', topics: [topic], from: 'earliest', handle: a.handle })
    const second = await other.consume({ group: 'share', topics: [topic], from: 'earliest', handle: b.handle })
    let sent = 0
    while (a.records.length === 0 || b.records.length === 0) {
      await log.append([0, 1, 2, 3].map((partition) => text(topic, `${partition}/${sent}`, { partition })))
      sent += 1
      await setTimeout(50)
    }
    const all = () => new Set([...a.values, ...b.values])
    await until(() => all().size === sent * 4)
    await close(other)
    await log.append([0, 1, 2, 3].map((partition) => text(topic, `${partition}/last`, { partition })))
    await until(() => a.values.filter((value) => value.endsWith('last')).length === 4)
    await first.close()
    await second.close()
  })

  it('reads again from where a group was moved to', async () => {
    const topic = await makeTopic(log, 'seek')
    await log.append(series('v', 10).map((value) => text(topic, value)))
    const options = { group: 'seek', topics: [topic], from: 'earliest' } as const
    const seen = collect()
    const consumer = await log.consume({ ...options, handle: seen.handle })
    await until(() => seen.records.length === 10)
    await expect(log.seek('seek', { topic, partition: 0, offset: 7 })).rejects.toMatchObject({
      code: 'LOG_GROUP_ACTIVE',
    })
    await consumer.close()
    await log.seek('seek', { topic, partition: 0, offset: 7 })
    expect(await log.committed('seek', topic)).toEqual([{ partition: 0, offset: 7 }])
    const again = collect()
    const next = await log.consume({ ...options, handle: again.handle })
    await until(() => again.records.length === 3)
    expect(again.values).toEqual(['v7', 'v8', 'v9'])
    await next.close()
  })

  it('finds offsets by time', async () => {
    const topic = await makeTopic(log, 'time')
    await log.append(series('a', 3).map((value) => text(topic, value)))
    await setTimeout(30)
    const middle = Date.now()
    await setTimeout(30)
    await log.append(series('b', 3).map((value) => text(topic, value)))
    expect(await log.offsetsAt(topic, 0)).toEqual([{ partition: 0, offset: 0 }])
    expect(await log.offsetsAt(topic, middle)).toEqual([{ partition: 0, offset: 3 }])
    expect(await log.offsetsAt(topic, Date.now() + 60_000)).toEqual([{ partition: 0, offset: 6 }])
    const seen = collect()
    const tail = await log.tail({ topics: [topic], from: { time: middle }, handle: seen.handle })
    await until(() => seen.records.length === 3)
    expect(seen.values).toEqual(series('b', 3))
    await tail.close()
  })

  it('tells a tail when it has caught up, on empty and on full topics', async () => {
    const full = await makeTopic(log, 'full', { partitions: 2 })
    const empty = await makeTopic(log, 'empty', { partitions: 2 })
    await log.append(series('v', 50).map((value, index) => text(full, value, { partition: index % 2 })))
    for (const [topics, count] of [
      [[empty], 0],
      [[full, empty], 50],
    ] as const) {
      const seen = collect()
      let atCatchUp = -1
      let times = 0
      const caughtUp = () => {
        atCatchUp = seen.records.length
        times += 1
      }
      const tail = await log.tail({ topics, from: 'earliest', handle: seen.handle, caughtUp })
      await until(() => times > 0)
      expect(atCatchUp).toBe(count)
      if (count > 0) {
        await log.append([text(empty, 'later')])
        await until(() => seen.values.includes('later'))
      }
      expect(times).toBe(1)
      await tail.close()
    }
  })

  it('gives a tail from the latest only what comes after', async () => {
    const topic = await makeTopic(log, 'tail-latest')
    await log.append([text(topic, 'old')])
    const seen = collect()
    const tail = await log.tail({ topics: [topic], from: 'latest', handle: seen.handle })
    await log.append([text(topic, 'new')])
    await until(() => seen.records.length > 0)
    expect(seen.values).toEqual(['new'])
    await tail.close()
    await log.append([text(topic, 'after the end')])
    await setTimeout(50)
    expect(seen.values).toEqual(['new'])
  })

  it('shows a tail of a compacted topic the newest value of each key, and deletions', async () => {
    const topic = await makeTopic(log, 'compacted', { compacted: true })
    for (const round of [1, 2, 3]) {
      await log.append(['a', 'b', 'c'].map((key) => text(topic, `${key}${round}`, { key })))
    }
    await log.append([{ topic, key: 'b', value: null, headers: { 'resource-version': '9' } }])
    const seen = collect()
    const tail = await log.tail({ topics: [topic], from: 'earliest', handle: seen.handle })
    await until(() => seen.records.at(-1)?.headers['resource-version'] === '9')
    const state = new Map(seen.records.map(({ key, value }) => [key, value?.toString() ?? null]))
    expect(Object.fromEntries(state)).toEqual({ a: 'a3', b: null, c: 'c3' })
    await log.append([text(topic, 'b4', { key: 'b' })])
    await until(() => seen.values.at(-1) === 'b4')
    await tail.close()
  })

  it('writes all records of an append or none, across topics', async () => {
    const left = await makeTopic(log, 'left')
    const right = await makeTopic(log, 'right')
    await expect(log.append([text(left, 'x'), text('no-such-topic', 'x')])).rejects.toMatchObject({
      code: 'LOG_TOPIC_UNKNOWN',
    })
    await expect(log.append([text(left, 'x'), text(right, 'x', { partition: 5 })])).rejects.toMatchObject({
      code: 'LOG_TOPIC_UNKNOWN',
    })
    expect(await log.read({ topic: left, partition: 0, offset: 0 }, 10)).toEqual([])
    const positions = await log.append([text(left, '1'), text(right, '2'), text(left, '3')])
    expect(positions.map(({ topic }) => topic)).toEqual([left, right, left])
    const seen = collect()
    let isCaughtUp = false
    const caughtUp = () => {
      isCaughtUp = true
    }
    const tail = await log.tail({ topics: [left, right], from: 'earliest', handle: seen.handle, caughtUp })
    await until(() => isCaughtUp)
    expect(seen.records.length).toBe(3)
    expect([...seen.values].sort()).toEqual(['1', '2', '3'])
    for (const [index, position] of positions.entries()) {
      const [record] = await log.read(position, 1)
      expect(record?.value?.toString()).toBe(String(index + 1))
    }
    await tail.close()
  })

  it('carries values of several megabytes', async () => {
    const topic = await makeTopic(log, 'big')
    const value = Buffer.alloc(3 * 2 ** 20, 'margay ')
    const [position] = await log.append([{ topic, key: null, value }])
    const [record] = await log.read(position as NonNullable<typeof position>, 1)
    expect(record?.value?.equals(value)).toBe(true)
  })

  it('keeps batches near the bytes asked for', async () => {
    const topic = await makeTopic(log, 'batches')
    for (let round = 0; round < 4; round += 1) {
      await log.append(Array.from({ length: 5 }, () => ({ topic, key: null, value: Buffer.alloc(20_000, round) })))
    }
    const sizes: number[] = []
    let count = 0
    const consumer = await log.consume({
      group: 'batches',
      topics: [topic],
      from: 'earliest',
      maxBytes: 65_000,
      async handle({ records }) {
        count += records.length
        sizes.push(records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0))
      },
    })
    await until(() => count === 20)
    await consumer.close()
    expect(Math.max(...sizes)).toBeLessThanOrEqual(65_000)
  })

  it('tells the bounds of each partition', async () => {
    const topic = await makeTopic(log, 'bounds', { partitions: 2 })
    await log.append(series('v', 3).map((value) => text(topic, value, { partition: 1 })))
    expect(await log.offsets(topic)).toEqual([
      { partition: 0, earliest: 0, next: 0 },
      { partition: 1, earliest: 0, next: 3 },
    ])
    await expect(log.offsets('no-such-topic')).rejects.toMatchObject({ code: 'LOG_TOPIC_UNKNOWN' })
  })

  it('delivers nothing while paused, and what it held back after', async () => {
    const topic = await makeTopic(log, 'pause')
    const seen = collect()
    const consumer = await log.consume({ group: 'pause', topics: [topic], from: 'earliest', handle: seen.handle })
    await log.append([text(topic, 'a')])
    await until(() => seen.records.length === 1)
    consumer.pause()
    await setTimeout(30)
    await log.append([text(topic, 'b')])
    await setTimeout(200)
    expect(seen.values).toEqual(['a'])
    consumer.resume()
    await until(() => seen.records.length === 2)
    await consumer.close()
  })

  it('ends the batch under way before a consumer closes, and commits it', async () => {
    const topic = await makeTopic(log, 'close')
    let isHandling = false
    const seen = collect(async () => {
      isHandling = true
      await setTimeout(150)
    })
    const consumer = await log.consume({ group: 'close', topics: [topic], from: 'earliest', handle: seen.handle })
    await log.append([text(topic, 'a')])
    await until(() => isHandling)
    await consumer.close()
    expect(seen.values).toEqual(['a'])
    expect(await log.committed('close', topic)).toEqual([{ partition: 0, offset: 1 }])
  })

  it('makes only the topics that are missing and leaves the others as they are', async () => {
    const topic = await makeTopic(log, 'twice', { partitions: 2 })
    await log.append([text(topic, 'kept', { partition: 1 })])
    await makeTopic(log, 'twice', { partitions: 5 })
    expect((await log.offsets(topic)).length).toBe(2)
    expect((await log.read({ topic, partition: 1, offset: 0 }, 1)).length).toBe(1)
  })
})
