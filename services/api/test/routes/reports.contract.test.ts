import { MargayError } from '@margay/kit/errors'
import { afterEach, describe, expect, it } from 'vitest'
import { type AskedStatement, fakeClickHouse, startApi, type TestApi } from '../../../../test/harness/api.ts'
import type { Question } from '../../src/neighbour.ts'

const now = Date.parse('2026-03-01T12:00:00Z')
let api: TestApi | undefined
afterEach(async () => {
  await api?.stop()
  api = undefined
})

async function setUp(answer: (question: Question) => Promise<unknown>, rows: object[] = []) {
  const questions: Question[] = []
  const asked: AskedStatement[] = []
  api = await startApi({
    now: () => now,
    clickhouse: fakeClickHouse((statement) => {
      asked.push(statement)
      return { meta: [], data: rows }
    }),
    ask: (question) => {
      questions.push(question)
      return answer(question)
    },
  })
  return { app: api.app, store: api.store, questions, asked }
}

describe('making a report now', () => {
  it('asks the compliance service, with moments as RFC 3339', async () => {
    const { app, questions } = await setUp(async () => ({ id: 'r-9' }))
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/reports/daily%20one/run',
      payload: { start: 'now-24h', end: 'now' },
    })
    expect(answer.json()).toEqual({ id: 'r-9' })
    expect(questions).toMatchObject([
      {
        service: 'compliance',
        method: 'POST',
        path: '/reports/daily%20one/run',
        body: { start: '2026-02-28T12:00:00.000Z', end: '2026-03-01T12:00:00.000Z' },
      },
    ])
  })

  it('refuses an interval that ends before it begins', async () => {
    const { app, questions } = await setUp(async () => ({}))
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/reports/x/run',
      payload: { start: 'now', end: 'now-1h' },
    })
    expect(answer.json()).toMatchObject({ status: 400, code: 'REQUEST_INVALID' })
    expect(questions).toEqual([])
  })

  it('passes on what the service says', async () => {
    const { app } = await setUp(async () => {
      throw new MargayError('REPORT_UNKNOWN', 'compliance: there is no GlobalReport x', { status: 404 })
    })
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/reports/x/run',
      payload: { start: 'now-1h', end: 'now' },
    })
    expect(answer.json()).toMatchObject({ status: 404, code: 'REPORT_UNKNOWN' })
  })
})

describe('alerts', () => {
  const alert = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalAlert',
    metadata: { name: 'watch' },
    spec: { description: 'd', severity: 10, dataSet: 'flows' },
  }
  const event = { time: '2026-03-01T11:00:00.000Z', name: 'watch', severity: 10, record: '{"n":1}' }

  it('are listed with recent events and with the status that the alerts service tells', async () => {
    const { app, questions } = await setUp(
      async () => ({ alerts: [{ name: 'watch', uid: 'u', status: { active: true, healthy: true } }] }),
      [event],
    )
    await app.inject({
      method: 'POST',
      url: '/v1/apply',
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify(alert),
    })
    expect((await app.inject('/v1/alerts?limit=50')).json()).toMatchObject({
      events: [{ time: '2026-03-01T11:00:00.000Z', record: { n: 1 } }],
      next: null,
      alerts: [{ name: 'watch', severity: 10, description: 'd', status: { active: true, healthy: true } }],
    })
    expect(questions).toEqual([{ service: 'alerts', path: '/alerts' }])
  })

  it('are listed without status while the alerts service is away', async () => {
    const { app, store } = await setUp(async () => Promise.reject(new Error('away')), [event])
    expect(store.list('globalalerts.projectcalico.org')).toEqual([])
    await app.inject({
      method: 'POST',
      url: '/v1/apply',
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify(alert),
    })
    expect((await app.inject('/v1/alerts')).json()).toMatchObject({ alerts: [{ name: 'watch', status: null }] })
  })

  it('keep quiet about what an exception in force hides, unless asked', async () => {
    const { app, asked } = await setUp(async () => ({ alerts: [] }), [event])
    const exception = (name: string, times: object) =>
      JSON.stringify({
        apiVersion: 'projectcalico.org/v3',
        kind: 'AlertException',
        metadata: { name },
        spec: { description: 'd', selector: `origin = ${name}`, ...times },
      })
    const headers = { 'content-type': 'application/json' }
    for (const payload of [
      exception('now', { startTime: '2026-02-01T00:00:00Z' }),
      exception('later', { startTime: '2026-04-01T00:00:00Z' }),
      exception('over', { startTime: '2026-02-01T00:00:00Z', endTime: '2026-02-02T00:00:00Z' }),
    ]) {
      expect((await app.inject({ method: 'POST', url: '/v1/apply', headers, payload })).statusCode).toBe(200)
    }
    await app.inject(`/v1/alerts?q=${encodeURIComponent('severity > 5')}`)
    await app.inject('/v1/alerts?excepted=true')
    const bound = asked.map(({ query_params }) => Object.values(query_params))
    expect(bound[0]).toContain('now')
    expect(bound[0]).toContain(5)
    expect(bound[0]).not.toContain('later')
    expect(bound[0]).not.toContain('over')
    expect(asked[0]?.query).toContain('NOT ')
    expect(bound[1]).not.toContain('now')
    const wrong = exception('x', { startTime: '2026-02-01T00:00:00Z', selector: 'colour = red' })
    expect((await app.inject({ method: 'POST', url: '/v1/apply', headers, payload: wrong })).json()).toMatchObject({
      problems: [{ rule: 'query-parses', path: 'spec.selector' }],
    })
  })

  it('send messages, which the inbox lists', async () => {
    const { app, asked } = await setUp(
      async () => ({}),
      [{ time: '2026-03-01T11:00:00.000Z', subject: 's', state: 'sent' }],
    )
    expect((await app.inject('/v1/inbox?limit=30')).json()).toMatchObject({
      messages: [{ subject: 's', state: 'sent' }],
    })
    expect(asked[0]?.query).toContain('FROM notifications')
    expect(asked[0]?.query_params.from).toBe(now - 7 * 86_400_000)
  })
})
