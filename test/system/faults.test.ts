import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { callSocket } from '@margay/cli/client'
import { encodeBlocks, linesOf } from '@margay/kit/blocks'
import { loadConfig } from '@margay/kit/config'
import type { EventLog, Position, StoredRecord } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { deadLettersOf } from '@margay/kit/topics'
import { type FlowEvent, flow, topicOf } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { footprintOf, noFootprint, processesOf } from '../harness/footprint.ts'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

const topic = topicOf(flow)

/** Denies one pod of the demonstration its web servers: a verdict, and a rule, that must survive everything. */
const kept = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.kept, namespace: dev}
spec:
  tier: security
  order: 1
  selector: run == 'netshoot'
  types: [Egress]
  egress:
    - {action: Deny, protocol: TCP, destination: {selector: app == 'nginx'}}
    - {action: Pass}
`

const half = `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: fine, namespace: dev}
spec: {nets: [192.0.2.0/24]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.broken, namespace: dev}
spec:
  tier: security
  selector: app === 'x'
  types: [Ingress]
`

interface Probe {
  verdict: 'allow' | 'deny'
  flow: FlowEvent | null
}

describe.skipIf(!canRunKernelLab)('whatever dies, nothing that was acknowledged is lost', () => {
  let product: Product
  let log: EventLog
  /** Places of the blocks that the log acknowledged to this test while others died. */
  const acknowledged: Position[] = []
  const writing = new AbortController()
  let writer: Promise<void> = Promise.resolve()

  beforeAll(async () => {
    product = await startProduct({ env: { MARGAY_AGENT__FLOW_FLUSH_INTERVAL: '1s' } })
    const config = loadConfig({ MARGAY_HOME: product.home })
    log = createEventLog(config, { reporter: createReporter('test', { level: 'silent' }) })
    await log.start?.()
    writer = write()
  })
  afterAll(async () => {
    writing.abort()
    await writer
    await log?.stop?.()
    await product?.stop()
    if (product !== undefined) expect(footprintOf(product)).toEqual(noFootprint)
  })

  /** Appends blocks of three flows all the time, as one more agent. */
  async function write(): Promise<void> {
    const [sample] = await flowsOf(() => true)
    for (let i = 0; !writing.signal.aborted; i++) {
      const events = [0, 1, 2].map((k) => ({ ...sample, end_time: Date.now(), source_name: `writer-${i}-${k}` }))
      try {
        acknowledged.push(...(await log.append(encodeBlocks(flow, events, { cluster: 'cluster', producer: 'test' }))))
      } catch {
        // Refused: then it need not be there.
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async function* blocks(name = topic): AsyncGenerator<StoredRecord> {
    for (const { partition, earliest, next } of await log.offsets(name)) {
      for (let offset = earliest; offset < next; ) {
        const records = await log.read({ topic: name, partition, offset }, 200)
        if (records.length === 0) break
        yield* records
        offset = (records.at(-1) as StoredRecord).offset + 1
      }
    }
  }

  /** Flows of the log that are as asked for; waits until there is one. */
  async function flowsOf(isWanted: (event: FlowEvent) => boolean): Promise<FlowEvent[]> {
    const found: FlowEvent[] = []
    await until(
      async () => {
        for await (const block of blocks())
          for (const line of linesOf(block)) {
            const event = JSON.parse(line) as FlowEvent
            if (isWanted(event)) found.push(event)
          }
        return found.length > 0
      },
      20_000,
      () => 'no such flow in the log',
    )
    return found
  }

  const probe = (source: string, destination: string, waitFlowMs: number) =>
    callSocket<Probe>(join(product.home, 'run', 'lab.sock'), 'POST', '/probe', { source, destination, waitFlowMs })
  const pidOf = (name: string) => processesOf(product.home).find((each) => each.name === name)?.pid

  /** Ends a process with SIGKILL and waits until another one is in its place and ready. */
  async function killAndAwait(name: string): Promise<void> {
    const pid = pidOf(name)
    if (pid === undefined) throw new Error(`${name} does not run: ${JSON.stringify(processesOf(product.home))}`)
    process.kill(pid, 'SIGKILL')
    let told = ''
    await until(
      async () => {
        const next = pidOf(name)
        if (next === undefined || next === pid) return false
        try {
          const health = await callSocket<{ state: string }>(
            join(product.home, 'run', `${name}.sock`),
            'GET',
            '/readyz',
          )
          told = JSON.stringify(health)
          return health.state === 'ok'
        } catch (error) {
          told = String(error)
          return false
        }
      },
      20_000,
      () => `${name} did not come back: ${told}\n${product.screen()}`,
    )
  }

  /** Traffic flows, is judged, and its records reach the table. */
  async function expectWholePipeline(after: string): Promise<void> {
    const since = Date.now()
    let answer: Probe | undefined
    await until(
      async () => {
        answer = await probe('dev/centos', 'dev/nginx-svc:80', 3000).catch(() => undefined)
        return answer?.verdict === 'allow' && answer.flow !== null
      },
      15_000,
      () => `no allowed and recorded probe after ${after}: ${JSON.stringify(answer)}\n${product.screen()}`,
    )
    await until(
      async () => (await rowsSince(since)) > 0,
      20_000,
      () => `no new flow in the table after ${after}: ${product.screen()}`,
    )
  }
  const rowsSince = async (time: number) => {
    const query = `SELECT toUInt32(count()) AS n FROM flows WHERE source_name NOT LIKE 'writer-%' AND toUnixTimestamp64Milli(start_time) >= ${time}`
    return (await product.sql<{ n: number }>(query).catch(() => []))[0]?.n ?? 0
  }

  test('a policy is applied; with its agent dead, the kernel goes on with it', async () => {
    const file = join(product.home, 'kept.yaml')
    writeFileSync(file, kept)
    expect(await product.margay('apply', '-f', file)).toMatchObject({ code: 0 })
    await until(
      async () => (await probe('dev/netshoot', 'dev/nginx-svc:80', 0)).verdict === 'deny',
      5000,
      () => 'the policy is not in force',
    )
    for (const node of ['node1', 'node2']) {
      process.kill(pidOf(`agent-${node}`) as number, 'SIGKILL')
      const verdicts = await Promise.all([
        probe('dev/netshoot', 'dev/nginx-svc:80', 0),
        probe('dev/centos', 'dev/nginx-svc:80', 0),
      ])
      expect(verdicts.map(({ verdict }) => verdict)).toEqual(['deny', 'allow'])
    }
    await until(
      () => ['agent-node1', 'agent-node2'].every((name) => pidOf(name) !== undefined),
      15_000,
      () => 'the agents did not start again',
    )
    await expectWholePipeline('the agents died')
  })

  for (const names of [['store'], ['api'], ['alerts', 'compliance'], ['lab']]) {
    test(`${names.join(' and ')} killed: back by itself`, async () => {
      await Promise.all(names.map(killAndAwait))
      await expectWholePipeline(`${names.join(' and ')} died`)
    })
  }

  test('ClickHouse stays away for seconds: verdicts and live records go on, queries say why they cannot, then all is made up for', async () => {
    const since = Date.now()
    const kill = setInterval(() => {
      const pid = pidOf('engine')
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    }, 50)
    try {
      await until(
        async () => {
          const answer = await fetch(`${product.url}/v1/flows?limit=1`)
          const problem = (await answer.json()) as { code?: string }
          return answer.status === 503 && problem.code === 'CLICKHOUSE_UNAVAILABLE'
        },
        5000,
        () => 'queries do not say that ClickHouse is away',
      )
      const denied = await probe('dev/netshoot', 'dev/nginx-svc:80', 3000)
      expect(denied.verdict).toBe('deny')
      expect(denied.flow?.enforced_policies).toEqual(['0|security|dev/security.kept|deny|0'])
      const status = (await (await fetch(`${product.url}/v1/status`)).json()) as Record<string, { state: string }>
      expect(status.clickhouse?.state).toBe('down')
    } finally {
      clearInterval(kill)
    }
    await until(
      async () => (await rowsSince(since)) > 0,
      30_000,
      () => `the table did not get what happened meanwhile: ${product.screen()}`,
    )
    await expectWholePipeline('ClickHouse was away')
  })

  test('a malformed line goes to the dead letters with its reason, its neighbours are stored', async () => {
    const [sample] = await flowsOf(() => true)
    const good = (source: string) => JSON.stringify({ ...sample, end_time: Date.now(), source_name: source })
    const wrong = JSON.stringify({ ...sample, action: 'maybe', end_time: Date.now() })
    const value = Buffer.from([good('neighbour-1'), '{"cut": "of', wrong, good('neighbour-2')].join('\n'))
    const [place] = await log.append([{ topic, key: 'test', value }])
    const letters = async () => {
      const found: StoredRecord[] = []
      for await (const letter of blocks(deadLettersOf(topic)))
        if (letter.headers['source-offset'] === String(place?.offset)) found.push(letter)
      return found
    }
    await until(
      async () => (await letters()).length === 2,
      15_000,
      () => 'the dead letters did not come',
    )
    expect((await letters()).map((letter) => [letter.headers.reason, letter.value?.toString()])).toEqual([
      ['json', '{"cut": "of'],
      ['invalid', wrong],
    ])
    const stored = () =>
      product.sql("SELECT source_name AS name FROM flows WHERE name LIKE 'neighbour-%' ORDER BY name")
    await until(
      async () => (await stored()).length === 2,
      15_000,
      () => 'the neighbours are not stored',
    )
  })

  test('a file with one invalid document is refused whole, with file, line, path and rule', async () => {
    const file = join(product.home, 'half.yaml')
    writeFileSync(file, half)
    const { code, stdout, stderr } = await product.margay('apply', '-f', file)
    expect(code).toBeGreaterThan(1)
    expect(stdout).toBe('')
    expect(stderr).toContain('nothing was changed')
    expect(stderr).toMatch(new RegExp(`${file}:\\d+: spec\\.selector: .*\\(selector[a-z-]*\\)`))
    expect(Number(/half\.yaml:(\d+)/.exec(stderr)?.[1])).toBe(half.split('\n').findIndex((l) => l.includes('===')) + 1)
    expect((await product.margay('get', 'networksets', '-n', 'dev', '-o', 'name')).stdout).not.toContain('fine')
    expect((await product.margay('get', 'networkpolicies', '-n', 'dev', '-o', 'name')).stdout).not.toContain('broken')
  })

  test('every event that the log acknowledged is in the table exactly once', async () => {
    writing.abort()
    await writer
    expect(acknowledged.length).toBeGreaterThan(100)
    const wanted = new Map<string, number>()
    const malformed = 2
    for await (const block of blocks()) wanted.set(`${block.partition}/${block.offset}`, linesOf(block).length)
    for (const { partition, offset } of acknowledged) expect(wanted.get(`${partition}/${offset}`)).toBe(3)
    const total = [...wanted.values()].reduce((sum, count) => sum + count, 0) - malformed

    interface Stored {
      place: string
      rows: number
      indexes: number
    }
    const places = [...wanted.keys()].map((place) => `'${place}'`).join()
    const stored = () =>
      product.sql<Stored>(
        `SELECT concat(log_partition, '/', log_offset) AS place, toUInt32(count()) AS rows, toUInt32(uniqExact(log_index)) AS indexes FROM flows WHERE place IN (${places}) GROUP BY place`,
      )
    let rows = await stored()
    await until(
      async () => {
        rows = await stored()
        return rows.reduce((sum, { indexes }) => sum + indexes, 0) >= total
      },
      20_000,
      () => `of ${total} events ${rows.reduce((sum, { indexes }) => sum + indexes, 0)} are stored`,
    )
    expect(rows.filter((row) => row.rows !== row.indexes)).toEqual([])
    expect(rows.filter((row) => row.indexes > (wanted.get(row.place) ?? 0))).toEqual([])
    expect(rows.reduce((sum, { indexes }) => sum + indexes, 0)).toBe(total)
  })
})
