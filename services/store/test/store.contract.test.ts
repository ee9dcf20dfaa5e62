import { setTimeout } from 'node:timers/promises'
import type { StoredRecord } from '@margay/kit/event-log'
import { flow, topicOf } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from './rig.ts'

const topic = topicOf(flow)

describe('a store between a real log and a real engine', () => {
  let rig: Rig

  beforeAll(async () => {
    rig = await startRig()
  })
  afterAll(() => rig?.stop())

  const complete = (timeout = 10_000) =>
    expect.poll(() => rig.counts(), { timeout, interval: 100 }).toEqual(rig.everything())

  it('makes the tables and stores what it reads', async () => {
    await rig.produce(3)
    await complete()
    const { clickhouse } = rig
    expect(await clickhouse.query('SELECT version FROM schema_migrations WHERE version = 1')).toEqual([{ version: 1 }])
    const [row] = await clickhouse.query(
      'SELECT toString(source_ip) AS ip, source_labels, dest_port, log_offset, log_index, ingest_time >= end_time AS later FROM flows WHERE num_flows = 2',
    )
    expect(row).toEqual({
      ip: '::ffff:10.0.0.1',
      source_labels: ['app=web'],
      dest_port: 443,
      log_offset: 0,
      log_index: 1,
      later: 1,
    })
  })

  it('sends malformed events to the dead letters with a reason and keeps the rest of the block', async () => {
    const good = () => JSON.stringify(rig.nextFlow())
    // Valid to us, since JSON.parse takes the second value, but ClickHouse takes no member twice.
    const twice = JSON.stringify({ ...rig.nextFlow(), num_flows: 0 }).replace(
      '"bytes_in":1',
      '"bytes_in":1,"bytes_in":1',
    )
    const numbered = [
      JSON.stringify({ ...JSON.parse(twice), num_flows: rig.everything().rows }),
      '{"broken',
      good(),
      '{}',
      twice,
      good(),
    ]
    await rig.log.append([{ topic, key: 'k', value: Buffer.from(numbered.join('\n')) }])
    const dead: StoredRecord[] = []
    const tail = await rig.log.tail({
      topics: [`${topic}.dlq`],
      from: 'earliest',
      handle: (batch) => void dead.push(...batch.records),
    })
    await expect
      .poll(() => dead.map((record) => record.headers.reason), { timeout: 10_000 })
      .toEqual(['json', 'invalid', 'refused'])
    expect(dead.map((record) => record.value?.toString())).toEqual([numbered[1], numbered[3], numbered[4]])
    expect(dead.map((record) => record.headers['source-index'])).toEqual(['1', '3', '4'])
    await tail.close()
    await complete()
  })

  it('waits while the engine is away, says so, and goes on by itself', async () => {
    await rig.engine.kill()
    await rig.produce(10)
    await expect.poll(rig.ready, { timeout: 10_000 }).toMatchObject({
      state: 'degraded',
      reason: expect.stringMatching(/clickhouse: since \d+ s/),
    })
    await rig.engine.start()
    await complete(20_000)
    await expect.poll(rig.ready, { timeout: 10_000 }).toMatchObject({ state: 'ok' })
  })

  it('has every event once after it was killed again and again, and the engine with it', async () => {
    let producing = true
    const producer = (async () => {
      while (producing) {
        await rig.produce(2)
        await setTimeout(20)
      }
    })()
    for (let kill = 0; kill < 3; kill += 1) {
      // It must be at work when it dies: a new member of the group waits until the dead one's lease is over.
      const { rows } = await rig.counts()
      await expect.poll(async () => (await rig.counts()).rows, { timeout: 20_000, interval: 20 }).toBeGreaterThan(rows)
      await setTimeout(Math.random() * 120)
      await rig.endStore('SIGKILL')
      if (kill === 1) {
        await rig.engine.kill()
        await rig.engine.start()
      }
      await rig.startStore()
    }
    producing = false
    await producer
    await complete(30_000)
    const [places] = await rig.clickhouse.query('SELECT uniqExact(log_offset, log_index) AS rows FROM flows')
    expect(places).toEqual({ rows: rig.everything().rows })
  })

  it('ends cleanly and soon', async () => {
    await rig.produce(5)
    const started = performance.now()
    expect(await rig.endStore('SIGTERM')).toBe(0)
    expect(performance.now() - started).toBeLessThan(6000)
    await rig.startStore()
    await complete()
  })

  it('does not start on a database that a newer version made', async () => {
    await rig.endStore('SIGTERM')
    await rig.clickhouse.command("INSERT INTO schema_migrations VALUES (9999, 'future', now())")
    await expect(rig.startStore()).rejects.toThrow('ended with 1')
  })
})
