import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { encodeBlocks } from '@margay/kit/blocks'
import { type ClickHouse, createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import type { EventLog, StoredRecord } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { flow, topicOf } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { aFlow } from './fakes.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const topic = topicOf(flow)

describe('a store between a real log and a real engine', () => {
  let home: string
  let env: Record<string, string>
  let engine: TestEngine
  let log: EventLog
  let clickhouse: ClickHouse
  let store: ChildProcess
  let serial = 0

  async function startStore(): Promise<void> {
    store = fork(main, [], {
      execArgv: ['--import', 'tsx', '--conditions=source'],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    await Promise.race([
      once(store, 'message'),
      once(store, 'exit').then(([code]) => {
        throw new Error(`the store ended with ${code} before it was ready`)
      }),
    ])
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const gone = once(store, 'exit')
    store.kill(signal)
    return (await gone)[0] as number | null
  }

  /** Appends blocks of flows that are numbered without a gap, so that one lost or doubled shows. */
  async function produce(blocks: number, rows = 200): Promise<void> {
    const now = Date.now()
    for (let at = 0; at < blocks; at += 1) {
      const events = Array.from({ length: rows }, () => {
        serial += 1
        return aFlow({ start_time: now, end_time: now, num_flows: serial })
      })
      await log.append(encodeBlocks(flow, events, { cluster: 'c', producer: `test/${at}` }))
    }
  }

  async function counts() {
    const [row] = await clickhouse.query<{ rows: number; different: number }>(
      'SELECT count() AS rows, uniqExact(num_flows) AS different FROM flows',
    )
    return row
  }

  async function ready(): Promise<{ state: string; reason?: string }> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: join(home, 'run', 'store.sock'), path: '/readyz' }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
        response.on('end', () => resolve(JSON.parse(text)))
      })
      asked.on('error', reject).end()
    })
  }

  const everything = () => ({ rows: serial, different: serial })

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'margay-store-'))
    engine = await startEngine(join(home))
    env = {
      MARGAY_HOME: home,
      MARGAY_CLICKHOUSE__URL: engine.config.url,
      MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
      MARGAY_STORE__BATCH_INTERVAL: '50ms',
      MARGAY_REPORT__LEVEL: 'error',
    }
    const config = loadConfig(env)
    const reporter = createReporter('test', { level: 'silent' })
    log = createEventLog(config, { reporter })
    clickhouse = createClickHouse(config, { reporter })
    await log.start?.()
    await startStore()
  })

  afterAll(async () => {
    if (store?.exitCode === null && store.signalCode === null) await end('SIGKILL')
    await clickhouse?.stop?.()
    await log?.stop?.()
    await engine?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  it('makes the tables and stores what it reads', async () => {
    await produce(3)
    await expect.poll(counts, { timeout: 10_000 }).toEqual(everything())
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
    const now = Date.now()
    const good = () => {
      serial += 1
      return JSON.stringify(aFlow({ start_time: now, end_time: now, num_flows: serial }))
    }
    // The last one is valid to us, since JSON.parse takes the second value, but ClickHouse takes no member twice.
    const lines = [
      good(),
      '{"broken',
      good(),
      '{}',
      good().replace('"bytes_in":1', '"bytes_in":1,"bytes_in":1'),
      good(),
    ]
    serial -= 1
    const numbered = lines.map((line, at) =>
      at === 5 ? line.replace(/"num_flows":\d+/, `"num_flows":${serial}`) : line,
    )
    await log.append([{ topic, key: 'k', value: Buffer.from(numbered.join('\n')) }])
    const dead: StoredRecord[] = []
    const tail = await log.tail({
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
    await expect.poll(counts, { timeout: 10_000 }).toEqual(everything())
  })

  it('waits while the engine is away, says so, and goes on by itself', async () => {
    await engine.kill()
    await produce(10)
    await expect.poll(ready, { timeout: 10_000 }).toMatchObject({
      state: 'degraded',
      reason: expect.stringMatching(/clickhouse: since \d+ s/),
    })
    await engine.start()
    await expect.poll(counts, { timeout: 20_000 }).toEqual(everything())
    await expect.poll(ready, { timeout: 10_000 }).toMatchObject({ state: 'ok' })
  })

  it('has every event once after it was killed again and again, and the engine with it', async () => {
    let producing = true
    const producer = (async () => {
      while (producing) {
        await produce(2)
        await setTimeout(20)
      }
    })()
    for (let kill = 0; kill < 3; kill += 1) {
      // It must be at work when it dies: a new member of the group waits until the dead one's lease is over.
      const before = (await counts())?.rows as number
      await expect.poll(async () => (await counts())?.rows, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before)
      await setTimeout(Math.random() * 120)
      await end('SIGKILL')
      if (kill === 1) {
        await engine.kill()
        await engine.start()
      }
      await startStore()
    }
    producing = false
    await producer
    await expect.poll(counts, { timeout: 30_000, interval: 100 }).toEqual(everything())
    const [places] = await clickhouse.query<{ n: number }>('SELECT uniqExact(log_offset, log_index) AS n FROM flows')
    expect(places?.n).toBe(serial)
  })

  it('ends cleanly and soon', async () => {
    await produce(5)
    const started = performance.now()
    expect(await end('SIGTERM')).toBe(0)
    expect(performance.now() - started).toBeLessThan(6000)
    await startStore()
    await expect.poll(counts, { timeout: 10_000 }).toEqual(everything())
  })

  it('does not start on a database that a newer version made', async () => {
    await end('SIGTERM')
    await clickhouse.command("INSERT INTO schema_migrations VALUES (9999, 'future', now())")
    await expect(startStore()).rejects.toThrow('ended with 1')
    await clickhouse.command('DELETE FROM schema_migrations WHERE version = 9999')
    await startStore()
  })
})
