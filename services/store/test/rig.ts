import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeBlocks } from '@margay/kit/blocks'
import { type ClickHouse, createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import type { EventLog } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { type FlowEvent, flow } from '@margay/schemas'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { aFlow } from '../../../test/harness/flow.ts'
import { startService, type TestService } from '../../../test/harness/service.ts'

/** A store process between a real log and a real engine, in a home of its own. */
export interface Rig {
  readonly engine: TestEngine
  readonly log: EventLog
  readonly clickhouse: ClickHouse
  startStore(): Promise<void>
  /** Ends the store and resolves with its exit code, null when a signal ended it. */
  endStore(signal: NodeJS.Signals): Promise<number | null>
  /** The next flow that can be stored; flows are numbered without a gap, so that one lost or doubled shows. */
  nextFlow(): FlowEvent
  /** Appends events as the agents do. */
  append(events: readonly FlowEvent[], producer?: string): Promise<void>
  /** Appends blocks of numbered flows. */
  produce(blocks: number, rows?: number): Promise<void>
  /** Rows stored, and how many different ones. */
  counts(): Promise<{ rows: number; different: number }>
  /** What `counts` gives when everything is stored once. */
  everything(): { rows: number; different: number }
  /** What the store says of itself. */
  ready(): Promise<{ state: string; reason?: string }>
  stop(): Promise<void>
}

/** Starts the engine, opens the log, and starts a store; `more` is added to the environment. */
export async function startRig(more: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const home = mkdtempSync(join(tmpdir(), 'margay-store-'))
  const engine = await startEngine(home)
  const env = {
    MARGAY_HOME: home,
    MARGAY_CLICKHOUSE__URL: engine.config.url,
    MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
    MARGAY_STORE__BATCH_INTERVAL: '50ms',
    MARGAY_REPORT__LEVEL: 'error',
    ...more,
  }
  const config = loadConfig(env)
  const reporter = createReporter('test', { level: 'silent' })
  const log = createEventLog(config, { reporter })
  const clickhouse = createClickHouse(config, { reporter })
  let store: TestService
  let serial = 0

  async function startStore(): Promise<void> {
    store = await startService('store', home, env)
  }

  async function endStore(signal: NodeJS.Signals): Promise<number | null> {
    if (signal !== 'SIGKILL') return await store.stop()
    await store.kill()
    return null
  }

  function nextFlow(): FlowEvent {
    serial += 1
    const now = Date.now()
    return aFlow({ start_time: now, end_time: now, num_flows: serial })
  }

  async function append(events: readonly FlowEvent[], producer = 'test'): Promise<void> {
    await log.append(encodeBlocks(flow, events, { cluster: 'c', producer }))
  }

  await log.start?.()
  await startStore()
  return {
    engine,
    log,
    clickhouse,
    startStore,
    endStore,
    nextFlow,
    append,
    async produce(blocks, rows = 200) {
      for (let at = 0; at < blocks; at += 1) await append(Array.from({ length: rows }, nextFlow), `test/${at}`)
    },
    async counts() {
      const sql = 'SELECT count() AS rows, uniqExact(num_flows) AS different FROM flows'
      const [row] = await clickhouse.query<{ rows: number; different: number }>(sql)
      return row ?? { rows: 0, different: 0 }
    },
    everything: () => ({ rows: serial, different: serial }),
    ready: async () => (await store.ask('/readyz')).body as { state: string; reason?: string },
    async stop() {
      await store.kill()
      await clickhouse.stop?.()
      await log.stop?.()
      await engine.stop()
      rmSync(home, { recursive: true, force: true })
    },
  }
}
