import { createEvaluator } from '@margay/alerts/evaluator'
import { createOutbox } from '@margay/alerts/outbox'
import { createRules } from '@margay/alerts/rules'
import { linesOf } from '@margay/kit/blocks'
import { createReporter } from '@margay/kit/reporter'
import type { ResourceCache, ResourceChange } from '@margay/kit/resources'
import { createState } from '@margay/kit/state'
import type { AlertEvent, Resource } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'

const minute = 60_000
const start = Date.parse('2026-03-01T10:00:00Z')
type Row = Record<string, unknown>

/** The resources of a cluster, changed by the test. */
function someResources(): Pick<ResourceCache, 'list' | 'onChange'> & {
  put(resource: Resource): void
  remove(name: string): void
} {
  const held = new Map<string, Resource>()
  const listeners = new Set<(change: ResourceChange) => void>()
  const change = (name: string, resource: Resource | null) => {
    const key = `globalalerts.projectcalico.org/-/${name}`
    const previous = held.get(key) ?? null
    if (resource === null) held.delete(key)
    else held.set(key, resource)
    for (const listener of listeners) listener({ key, resource, previous, version: 1 })
  }
  return {
    list: () => [...held.values()],
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    put: (resource) => change(resource.metadata.name, resource),
    remove: (name) => change(name, null),
  }
}

const anAlert = (name: string, spec: object = {}): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'GlobalAlert',
  metadata: { name, uid: `uid-${name}` },
  spec: {
    description: 'lateral access',
    summary: `[flows] ${'$'}{source_namespace} reached out ${'$'}{sum} times`,
    severity: 100,
    dataSet: 'flows',
    period: '1m',
    lookback: '1m',
    aggregateBy: ['source_namespace'],
    metric: 'sum',
    field: 'num_flows',
    condition: 'gt',
    threshold: 0,
    ...spec,
  },
})

/** An evaluator on a log in memory; `answer` plays ClickHouse. */
async function anEvaluator(answer: (from: number, to: number, sql: string) => Row[], log = createMemoryLog()) {
  const resources = someResources()
  let time = start
  let isStored = true
  const queries: { from: number; to: number }[] = []
  const build = async () => {
    const state = createState('state', { log })
    await state.start?.()
    const reporter = createReporter('alerts', { level: 'silent' })
    const rules = createRules(
      { database: 'margay', maxEvents: 50 },
      { resources: resources as unknown as ResourceCache, now: () => time },
    )
    await rules.start?.()
    return createEvaluator(
      { cluster: 'c', host: 'h', maxEvents: 50, repeatMs: 60 * minute, settleMs: 2000 },
      {
        rules,
        state,
        outbox: createOutbox(
          { cluster: 'c', host: 'h' },
          { state, receivers: [{ name: 'r', channel: 'email', minSeverity: 1 }] },
        ),
        watermark: { passed: async () => isStored },
        reporter,
        async query(sql, params) {
          const { from, to } = params as { from: number; to: number }
          queries.push({ from, to })
          return answer(from, to, sql)
        },
        now: () => time,
        onMessages() {},
      },
    )
  }
  let evaluator = await build()
  const tick = async (ms = 0) => {
    time += ms
    await evaluator.runDue()
    await evaluator.settled()
  }
  return {
    log,
    resources,
    queries,
    tick,
    /** Lets time pass in steps of a second, as the ticker does. */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 1000) await tick(1000)
    },
    jump: (ms: number) => {
      time += ms
    },
    store(state: boolean) {
      isStored = state
    },
    async restart() {
      evaluator = await build()
    },
    status: () => evaluator.status(),
    events: () =>
      log
        .records('margay.event.v1')
        .flatMap(linesOf)
        .map((line) => JSON.parse(line) as AlertEvent),
    messages: () =>
      log
        .records('margay.notification.v1')
        .flatMap(linesOf)
        .filter((line) => line.includes('"inbox"')),
  }
}

const rowsOf = (...namespaces: string[]): Row[] => namespaces.map((g0) => ({ g0, metric: 2, is_simulated: false }))

describe('the evaluator', () => {
  it('raises one event and one message for each group, once while the condition holds', async () => {
    const t = await anEvaluator(() => rowsOf('default', 'dev'))
    t.resources.put(anAlert('lateral'))
    await t.pass(10 * minute)
    expect(
      t.events().map(({ description, record, source_namespace, origin }) => ({
        description,
        record,
        source_namespace,
        origin,
      })),
    ).toEqual(
      ['default', 'dev'].map((namespace) => ({
        description: `[flows] ${namespace} reached out 2 times`,
        record: { source_namespace: namespace, sum: 2 },
        source_namespace: namespace,
        origin: 'lateral',
      })),
    )
    expect(t.messages()).toHaveLength(2)
    expect(t.queries.length).toBe(10)
  })

  it('looks at a new alert at once and at an edited one without raising again what it has raised', async () => {
    const t = await anEvaluator(() => rowsOf('default'))
    t.resources.put(anAlert('lateral'))
    await t.pass(3000)
    expect(t.queries).toEqual([{ from: start - minute, to: start }])
    t.resources.put(anAlert('lateral', { severity: 50 }))
    await t.pass(3000)
    expect(t.queries).toHaveLength(2)
    expect(t.events()).toHaveLength(1)
  })

  it('waits for data that is in the log but cannot be queried yet, and then misses none of it', async () => {
    const t = await anEvaluator(() => rowsOf('default'))
    t.resources.put(anAlert('lateral'))
    t.store(false)
    await t.pass(90_000)
    expect(t.queries).toEqual([])
    expect(t.status()[0]?.status).toMatchObject({ healthy: false, errorConditions: [{ type: 'ALERT_DATA_LATE' }] })
    t.store(true)
    await t.pass(65_000)
    expect(t.queries[0]).toEqual({ from: start - minute, to: start })
    expect(t.queries.slice(1).every(({ from }, index) => from === t.queries[index]?.to)).toBe(true)
    expect(t.status()[0]?.status).toMatchObject({ healthy: true, errorConditions: [] })
  })

  it('keeps the other alerts going when the query of one fails, and says so in its status', async () => {
    const t = await anEvaluator((_from, _to, sql) => {
      if (sql.includes('`dns`')) throw new Error('memory limit exceeded')
      return rowsOf('default')
    })
    t.resources.put(anAlert('broken', { dataSet: 'dns', aggregateBy: ['qname'], metric: 'count', field: undefined }))
    t.resources.put(anAlert('wrong', { query: 'nonsense = 1' }))
    t.resources.put(anAlert('fine'))
    await t.pass(3000)
    expect(t.events().map(({ origin }) => origin)).toEqual(['fine'])
    expect(
      t.status().map(({ name, status }) => [name, status.active, status.healthy, status.errorConditions[0]?.type]),
    ).toEqual([
      ['broken', true, false, 'ALERT_EVALUATION_FAILED'],
      ['wrong', false, false, 'ALERT_INVALID'],
      ['fine', true, true, undefined],
    ])
    expect(t.status()[2]?.status.lastExecuted).toBeDefined()
  })

  it('comes back to a failed window and raises what was in it', async () => {
    let isDown = true
    const t = await anEvaluator((_from, to) => {
      if (isDown) throw new Error('down')
      return to === start ? rowsOf('default') : []
    })
    t.resources.put(anAlert('lateral'))
    await t.pass(30_000)
    isDown = false
    await t.pass(60_000)
    expect(t.events()).toHaveLength(1)
    expect(t.status()[0]?.status.healthy).toBe(true)
  })

  it('resumes after a restart where it stopped, sees what came and went meanwhile, and repeats nothing', async () => {
    const outage = { from: start + 10 * minute, to: start + 20 * minute }
    const t = await anEvaluator((from, to) => [
      ...rowsOf('steady'),
      ...(from >= outage.from && to <= outage.to ? rowsOf('burst') : []),
    ])
    t.resources.put(anAlert('lateral'))
    await t.pass(5 * minute)
    await t.restart()
    t.jump(40 * minute)
    await t.restart()
    await t.pass(5000)
    expect(t.events().map(({ source_namespace }) => source_namespace)).toEqual(['steady', 'burst'])
  })

  it.each(['before', 'after'] as const)('writes an event once when the log fails %s writing', async (when) => {
    const t = await anEvaluator((_from, to) => (to === start ? rowsOf('default') : []))
    t.resources.put(anAlert('lateral'))
    t.log.fail(when)
    await t.pass(3000)
    t.log.fail('never')
    await t.pass(70_000)
    expect(t.events()).toHaveLength(1)
    expect(t.messages()).toHaveLength(1)
  })

  it('sends one digest for a storm and reports what the cap dropped', async () => {
    const many = Array.from({ length: 51 }, (_, index) => `ns-${index}`)
    const t = await anEvaluator(() => rowsOf(...many))
    t.resources.put(anAlert('storm'))
    await t.pass(3000)
    expect(t.events()).toHaveLength(50)
    expect(t.messages()).toHaveLength(1)
    expect(t.messages()[0]).toContain('50 events')
    expect(t.status()[0]?.status.errorConditions).toMatchObject([{ type: 'EventsTruncated' }])
  })

  it('writes a storm of large rows in pieces, and after a crash between two only what is still missing', async () => {
    const rows = Array.from({ length: 5 }, (_, index) => ({
      place_log_partition: 0,
      place_log_offset: index,
      place_log_index: 0,
      qname: `${index}`.repeat(1_000_000),
    }))
    const t = await anEvaluator(() => rows)
    let appends = 0
    const append = t.log.append.bind(t.log)
    t.log.append = async (records) => {
      appends += 1
      if (appends === 2) throw new Error('killed')
      return append(records)
    }
    t.resources.put(
      anAlert('rows', { dataSet: 'dns', aggregateBy: [], metric: undefined, field: undefined, summary: 'x' }),
    )
    await t.pass(2000)
    expect(t.events()).toHaveLength(4)
    await t.restart()
    await t.pass(10_000)
    expect(t.events()).toHaveLength(5)
    expect(new Set(t.events().map(({ id }) => id)).size).toBe(5)
    expect(appends).toBeGreaterThanOrEqual(3)
  })

  it('forgets an alert that is deleted; one made anew with its name raises again', async () => {
    const t = await anEvaluator(() => rowsOf('default'))
    t.resources.put(anAlert('lateral'))
    await t.pass(3000)
    t.resources.remove('lateral')
    await t.pass(2000)
    expect(t.status()).toEqual([])
    t.resources.put(anAlert('lateral'))
    await t.pass(3000)
    expect(t.events()).toHaveLength(2)
  })

  it('labels what only the lab’s evaluator saw', async () => {
    const t = await anEvaluator(() => [{ g0: 'default', metric: 1, is_simulated: true }])
    t.resources.put(anAlert('lateral'))
    await t.pass(3000)
    expect(t.events()[0]?.simulated).toBe(true)
  })
})
