import type { Generator } from '@margay/compliance/generator'
import { createScheduler } from '@margay/compliance/scheduler'
import { dueSnapshot } from '@margay/compliance/snapshot'
import { createSnapshotter } from '@margay/compliance/snapshotter'
import { linesOf } from '@margay/kit/blocks'
import { MargayError } from '@margay/kit/errors'
import { createReporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import { createState } from '@margay/kit/state'
import type { ReportEvent, Resource, SnapshotEvent } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'

const at = (text: string) => Date.parse(`2026-03-01T${text}Z`)
const clockOf = (text: unknown) => new Date(text as number).toISOString().slice(11, 16)

const aReport = (spec: object = {}): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'GlobalReport',
  metadata: { name: 'audit', uid: 'u1', creationTimestamp: '2026-03-01T10:10:00Z' },
  spec: { reportType: 'policy-audit', schedule: '*/30 * * * *', ...spec },
})

/** A scheduler with a start delay of half an hour on a log in memory; `fail` decides what becomes of each report. */
async function aScheduler(fail: (tried: number) => string | null = () => null, log = createMemoryLog()) {
  let time = at('10:10:00')
  let tried = 0
  let listed: Resource[] = [aReport()]
  const generator: Generator = {
    async generate(report, { start, end }) {
      const code = fail(tried)
      tried += 1
      if (code !== null) throw new MargayError(code, 'scripted')
      return {
        id: `${report.name}-${end}`,
        name: report.name,
        start_time: start,
        end_time: end,
        generated_time: time,
      } as ReportEvent
    },
  }
  const build = async () => {
    const state = createState('state', { log })
    await state.start?.()
    return createScheduler(
      { cluster: 'c', host: 'h', startDelayMs: 30 * 60_000 },
      {
        resources: { list: () => listed } as unknown as ResourceCache,
        state,
        generator,
        reporter: createReporter('compliance', { level: 'silent' }),
        now: () => time,
        readable: async () => {},
      },
    )
  }
  let scheduler = await build()
  return {
    async until(text: string, stepMs = 60_000) {
      for (; time < at(text); time += stepMs) await scheduler.runDue()
      await scheduler.runDue()
    },
    jump: (text: string) => {
      time = at(text)
    },
    async restart() {
      scheduler = await build()
    },
    apply: (...resources: Resource[]) => {
      listed = resources
    },
    run: (name: string) => scheduler.run(name, { start: at('08:00:00'), end: at('09:00:00') }),
    overview: () => scheduler.overview()[0],
    intervals: () =>
      log
        .records('margay.report.v1')
        .flatMap(linesOf)
        .map((line) => JSON.parse(line) as ReportEvent)
        .map(({ start_time, end_time }) => `${clockOf(start_time)}-${clockOf(end_time)}`),
  }
}

describe('the schedule of reports', () => {
  it('begins when the resource was made and leaves no gap, each report after its delay', async () => {
    const t = await aScheduler()
    await t.until('10:59:00')
    expect(t.intervals()).toEqual([])
    await t.until('12:00:00')
    expect(t.intervals()).toEqual(['10:10-10:30', '10:30-11:00', '11:00-11:30'])
    expect(t.overview()).toMatchObject({
      nextEnd: '2026-03-01T12:00:00.000Z',
      status: { lastScheduledReportJob: { start: '2026-03-01T11:00:00.000Z' }, lastSuccessfulReportJobs: [{}, {}] },
    })
  })

  it('makes up for what was missed while the service was down, once', async () => {
    const t = await aScheduler()
    await t.until('11:00:00')
    t.jump('13:05:00')
    await t.restart()
    await t.until('13:06:00')
    await t.restart()
    await t.until('13:07:00')
    expect(t.intervals()).toEqual(['10:10-10:30', '10:30-11:00', '11:00-11:30', '11:30-12:00', '12:00-12:30'])
  })

  it('stops while suspended and makes the missed reports on resuming', async () => {
    const t = await aScheduler()
    t.apply(aReport({ suspend: true }))
    await t.until('12:00:00')
    expect(t.intervals()).toEqual([])
    t.apply(aReport())
    await t.until('12:01:00')
    expect(t.intervals()).toHaveLength(3)
  })

  it('waits as long as it takes for evidence that is late', async () => {
    const t = await aScheduler((tried) => (tried < 50 ? 'REPORT_EVIDENCE_LATE' : null))
    await t.until('11:05:00', 10_000)
    expect(t.overview()?.errorConditions).toMatchObject([{ type: 'REPORT_EVIDENCE_LATE' }])
    await t.until('11:40:00', 10_000)
    expect(t.intervals()).toEqual(['10:10-10:30', '10:30-11:00'])
    expect(t.overview()?.errorConditions).toEqual([])
  })

  it('gives an interval up after seven tries, says so, and goes on with the next', async () => {
    const t = await aScheduler((tried) => (tried < 7 ? 'CLICKHOUSE_REFUSED' : null))
    await t.until('13:00:00')
    expect(t.intervals()[0]).toBe('10:30-11:00')
    expect(t.overview()?.status.lastFailedReportJobs).toMatchObject([
      { end: '2026-03-01T10:30:00.000Z', message: 'scripted' },
    ])
  })

  it('lets a report of a type that is not made wait, without a failed job', async () => {
    const t = await aScheduler()
    t.apply(aReport({ reportType: 'inventory' }))
    await t.until('12:00:00')
    expect(t.intervals()).toEqual([])
    expect(t.overview()).toMatchObject({
      errorConditions: [{ type: 'REPORT_TYPE_UNSUPPORTED' }],
      status: { lastFailedReportJobs: [] },
    })
  })

  it('makes a report on demand by the name of a resource or of a built-in type, outside of the status', async () => {
    const t = await aScheduler()
    await t.run('audit')
    await t.run('policy-audit')
    expect(t.intervals()).toEqual(['08:00-09:00', '08:00-09:00'])
    expect(t.overview()?.status).toEqual({
      activeReportJobs: [],
      lastFailedReportJobs: [],
      lastSuccessfulReportJobs: [],
    })
    await expect(t.run('nothing')).rejects.toMatchObject({ code: 'REPORT_UNKNOWN', status: 404 })
  })
})

describe('the daily snapshot', () => {
  it('is due at its hour, UTC', () => {
    expect(new Date(dueSnapshot(3, at('02:59:59'))).toISOString()).toBe('2026-02-28T03:00:00.000Z')
    expect(new Date(dueSnapshot(3, at('03:00:00'))).toISOString()).toBe('2026-03-01T03:00:00.000Z')
  })

  it('is taken once a day with every object of the listed kinds, once the cluster is at rest', async () => {
    const log = createMemoryLog()
    const objects: Resource[] = [
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'default', uid: 'u', resourceVersion: '7' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' } },
      { apiVersion: 'projectcalico.org/v3', kind: 'Tier', metadata: { name: 'security' } },
    ]
    const resources = { list: () => objects, version: 7 }
    let time = at('10:00:00')
    const build = async () => {
      const state = createState('state', { log })
      await state.start?.()
      const reporter = createReporter('compliance', { level: 'silent' })
      return createSnapshotter(
        { hour: 0, cluster: 'c', host: 'h' },
        { resources: resources as unknown as ResourceCache, state, reporter, now: () => time },
      )
    }
    const taken = () =>
      log
        .records('margay.snapshot.v1')
        .flatMap(linesOf)
        .map((line) => JSON.parse(line) as SnapshotEvent)
        .map(({ plural, name, time: t }) => `${plural} ${name} ${new Date(t).toISOString().slice(8, 16)}`)
    let snapshotter = await build()
    await snapshotter.runDue()
    expect(taken()).toEqual([])
    for (let day = 0; day < 2; day += 1) {
      time += 15 * 3_600_000
      for (const _ of [1, 2]) {
        await snapshotter.runDue()
        time += 11_000
        await snapshotter.runDue()
        snapshotter = await build()
      }
    }
    expect(taken()).toEqual(['pods.core a 02T01:00', 'tiers.projectcalico.org security 02T01:00'])
    time = Date.parse('2026-03-03T00:00:01Z')
    await snapshotter.runDue()
    time += 11_000
    await snapshotter.runDue()
    expect(taken().slice(2)).toEqual(['pods.core a 03T00:00', 'tiers.projectcalico.org security 03T00:00'])
  })
})
