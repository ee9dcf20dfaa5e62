import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { createTableSql, flow } from '@margay/schemas'
import { startBroker } from '../../infra/kafka/broker.ts'
import { startEngine } from '../harness/engine.ts'
import { baselineTable, baselineTopic, type Order } from './baseline.ts'
import { cpuSeconds, median, peakMemory } from './cpu.ts'

/** How much is measured. */
export interface PipelineOptions {
  readonly events: number
  readonly rounds: number
  readonly adapters: readonly string[]
}

type Role = 'producer' | 'broker' | 'consumer' | 'engine'

interface Run {
  readonly eventsPerSecond: number
  /** Microseconds of CPU for each event, merges included. */
  readonly cpu: Readonly<Record<Role | 'total', number>>
}

interface Outcome {
  readonly adapter: string
  readonly variant: Order['variant']
  readonly rounds: number
  readonly events: number
  readonly eventsPerSecond: number
  readonly cpuMicrosPerEvent: Run['cpu']
  /** Largest memory of the process that reads the log and writes to ClickHouse, MiB. */
  readonly consumerPeakMiB: number
  readonly bytesPerRow: number
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const table = { margay: flow.table, baseline: baselineTable } as const

/**
 * Measures the pipeline from event objects in a producer to rows in ClickHouse, beside a plain baseline on the same log and
 * engine. Runs of both take turns. CPU is summed over producer, broker, consumer and engine until the merges have settled.
 */
export async function pipeline(
  options: PipelineOptions,
  show: (outcomes: readonly Outcome[]) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const adapter of options.adapters) {
    try {
      const found = await measure(adapter, options)
      outcomes.push(...found)
      show(found)
    } catch (error) {
      if (adapter !== 'kafka' || !/java|mvn/.test(String(error))) throw error
      console.log(`kafka: not measured: ${String(error).split('\n')[0]}`)
    }
  }
  return outcomes
}

async function measure(adapter: string, { events, rounds }: PipelineOptions): Promise<Outcome[]> {
  const broker = adapter === 'kafka' ? await startBroker() : null
  const brokerPid = broker === null ? null : javaOf(process.pid)
  const home = mkdtempSync(join(tmpdir(), 'margay-bench-'))
  const engine = await startEngine(home)
  const env = {
    MARGAY_HOME: home,
    MARGAY_LOG__ADAPTER: adapter,
    MARGAY_LOG__KAFKA__BROKERS: JSON.stringify(broker?.brokers ?? ['127.0.0.1:9']),
    MARGAY_LOG__KAFKA__PARTITIONS: '1',
    MARGAY_CLICKHOUSE__URL: engine.config.url,
    MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
    MARGAY_REPORT__LEVEL: 'error',
  }
  const reporter = createReporter('bench', { level: 'silent' })
  const config = loadConfig(env)
  const clickhouse = createClickHouse(config, { reporter })
  const children: ChildProcess[] = []
  async function child(path: string): Promise<ChildProcess> {
    const started = fork(file(path), [], {
      execArgv: ['--import', 'tsx', '--conditions=source'],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(started)
    await once(started, 'message')
    return started
  }
  try {
    const store = await child('../../services/store/src/main.ts')
    await clickhouse.start?.()
    await clickhouse.command(createTableSql({ ...flow, table: baselineTable }))
    const log = createEventLog(config, { reporter })
    await log.start?.()
    await log.createTopics([{ name: baselineTopic, partitions: 1, retentionMs: -1, compacted: false }])
    await log.stop?.()
    const consumers = { margay: store, baseline: await child('baseline-consumer.ts') }
    const producer = await child('producer.ts')
    const runs: Record<Order['variant'], Run[]> = { margay: [], baseline: [] }
    const count = async (name: string) =>
      Number((await clickhouse.query<{ n: number }>(`SELECT count() AS n FROM ${name}`))[0]?.n)

    async function settled(): Promise<void> {
      for (let quiet = 0; quiet < 2; await setTimeout(250)) {
        const [row] = await clickhouse.query<{ n: number }>('SELECT count() AS n FROM system.merges')
        quiet = row?.n === 0 ? quiet + 1 : 0
      }
    }

    async function order(message: Order): Promise<void> {
      const answered = once(producer, 'message')
      producer.send(message)
      await answered
    }

    async function run(variant: Order['variant'], seed: number): Promise<Run> {
      await order({ do: 'prepare', variant, events, seed })
      await settled()
      const pids: [Role, number | null][] = [
        ['producer', producer.pid as number],
        ['broker', brokerPid],
        ['consumer', consumers[variant].pid as number],
        ['engine', engine.pid],
      ]
      const used = () => pids.map(([, pid]) => (pid === null ? 0 : cpuSeconds(pid)))
      const wanted = (await count(table[variant])) + events
      const before = used()
      const started = performance.now()
      const producing = order({ do: 'go', variant, events, seed })
      while ((await count(table[variant])) < wanted) {
        if (performance.now() - started > 120_000)
          throw new Error(`${adapter}/${variant}: ${events} events took over 120 s`)
        await setTimeout(300) // each look costs the engine some milliseconds
      }
      const seconds = (performance.now() - started) / 1000
      await producing
      if ((await count(table[variant])) !== wanted) throw new Error(`${adapter}/${variant}: more rows than events`)
      await settled()
      const spent = used().map((after, at) => ((after - (before[at] as number)) / events) * 1e6)
      const cpu = Object.fromEntries(pids.map(([role], at) => [role, spent[at] as number])) as Record<Role, number>
      return { eventsPerSecond: events / seconds, cpu: { ...cpu, total: spent.reduce((a, b) => a + b, 0) } }
    }

    // One run of each that is not counted: compilers and caches get warm.
    for (let round = 0; round <= rounds; round += 1) {
      const order = round % 2 === 0 ? (['margay', 'baseline'] as const) : (['baseline', 'margay'] as const)
      for (const variant of order) {
        const result = await run(variant, round + 1)
        if (round > 0) runs[variant].push(result)
      }
    }
    const outcomes: Outcome[] = []
    for (const variant of ['margay', 'baseline'] as const) {
      const [size] = await clickhouse.query<{ b: number }>(
        'SELECT sum(data_compressed_bytes) / sum(rows) AS b FROM system.parts WHERE active AND table = {t:String}',
        { params: { t: table[variant] } },
      )
      const roles = ['producer', 'broker', 'consumer', 'engine', 'total'] as const
      outcomes.push({
        adapter,
        variant,
        rounds,
        events,
        eventsPerSecond: Math.round(median(runs[variant].map((result) => result.eventsPerSecond))),
        cpuMicrosPerEvent: Object.fromEntries(
          roles.map((role) => [role, Number(median(runs[variant].map(({ cpu }) => cpu[role])).toFixed(2))]),
        ) as Run['cpu'],
        consumerPeakMiB: Math.round(peakMemory(consumers[variant].pid as number)),
        bytesPerRow: Number((size?.b ?? 0).toFixed(1)),
      })
    }
    return outcomes
  } finally {
    for (const started of children) {
      const gone = once(started, 'exit')
      if (started.exitCode === null && started.connected) started.disconnect()
      await Promise.race([gone, setTimeout(8000).then(() => started.kill('SIGKILL'))])
    }
    await clickhouse.stop?.()
    await engine.stop()
    await broker?.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

/** The broker's process: the one child of this process that runs java. */
function javaOf(parent: number): number | null {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      if (/^\d+ \(java\) \S (\d+)/.exec(stat)?.[1] === String(parent)) return Number(name)
    } catch {
      // It ended while we looked.
    }
  }
  return null
}

/** A table for people. */
export function pipelineTable(outcomes: readonly Outcome[]): string {
  const head = [
    'adapter',
    'variant',
    'events/s',
    'CPU us/event',
    'producer',
    'broker',
    'consumer',
    'engine',
    'peak MiB',
    'B/row',
  ]
  const rows = outcomes.map(
    ({ adapter, variant, eventsPerSecond, cpuMicrosPerEvent: cpu, consumerPeakMiB, bytesPerRow }) =>
      [
        adapter,
        variant,
        eventsPerSecond,
        cpu.total,
        cpu.producer,
        cpu.broker,
        cpu.consumer,
        cpu.engine,
        consumerPeakMiB,
        bytesPerRow,
      ].map(String),
  )
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => (row[at] as string).length)))
  const line = (cells: readonly string[]) => cells.map((cell, at) => cell.padStart(widths[at] as number)).join('  ')
  const ratios = outcomes
    .filter(({ variant }) => variant === 'margay')
    .map((ours) => {
      const baseline = outcomes.find(
        (other) => other.adapter === ours.adapter && other.variant === 'baseline',
      ) as Outcome
      const cpu = baseline.cpuMicrosPerEvent.total / ours.cpuMicrosPerEvent.total
      const rate = ours.eventsPerSecond / baseline.eventsPerSecond
      return `${ours.adapter}: ${cpu.toFixed(2)}x less CPU for each event and ${rate.toFixed(2)}x the rate of the baseline`
    })
  return [line(head), ...rows.map(line), ...ratios].join('\n')
}
