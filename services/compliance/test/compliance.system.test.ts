import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { freePort } from '../../../test/harness/port.ts'
import { eventually, startService, type TestService } from '../../../test/harness/service.ts'

const policy = (selector: string) => `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.trusted, namespace: shop}
spec:
  tier: default
  selector: ${selector}
  types: [Ingress]
  ingress:
    - {action: Allow}
`
const scene = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {nodeName: node1, containers: [{name: web, image: web}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalReport
metadata: {name: web-changes}
spec:
  reportType: policy-audit
  endpoints: {selector: app == 'web', namespaces: {names: [shop]}}
`

interface Audited {
  verb: string
  user: { username: string }
  stageTimestamp: string
  responseObject: { spec: { selector: string } }
  annotations: Record<string, string>
}

describe('a change of a policy, from the API into a report', () => {
  let home: string
  let engine: TestEngine
  const services: TestService[] = []
  let url: string
  let compliance: TestService

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'margay-compliance-'))
    engine = await startEngine(home)
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const env = {
      MARGAY_CLICKHOUSE__URL: engine.config.url,
      MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
      MARGAY_API__PORT: String(port),
    }
    services.push(await startService('store', home, env), await startService('api', home, env))
    compliance = await startService('compliance', home, env)
    services.push(compliance)
  })
  afterAll(async () => {
    for (const service of services.reverse()) await service.stop()
    await engine?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  async function call(method: string, path: string, body?: string, user = 'alice'): Promise<Response> {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        'x-margay-user': user,
        ...(body === undefined
          ? {}
          : { 'content-type': body.startsWith('{') ? 'application/json' : 'application/yaml' }),
      },
      ...(body === undefined ? {} : { body }),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return answer
  }
  const json = async <T>(method: string, path: string, body?: string) =>
    (await (await call(method, path, body)).json()) as T

  const run = async (name: string, start: number) => {
    const range = JSON.stringify({ start: new Date(start).toISOString(), end: new Date().toISOString() })
    const { id } = await json<{ id: string }>('POST', `/v1/reports/${name}/run`, range)
    const file = (name: string) =>
      eventually(`file ${name} of the report`, async () => {
        const answer = await fetch(`${url}/v1/reports/${id}/files/${name}`)
        return answer.ok && (await answer.text())
      })
    return { id, range, file }
  }

  it('is there with its user and what was before, as CSV, JSON and YAML, the moment it was made', async () => {
    const start = Date.now()
    await call('POST', '/v1/apply', scene, 'system:lab')
    await call('POST', '/v1/apply', policy("app == 'web'"))
    await call('POST', '/v1/apply', policy("app in {'web', 'api'}"))
    const began = Date.now()
    const report = await run('policy-audit', start)
    console.log(`report on demand after ${Date.now() - began} ms`)
    const summary = await report.file('summary.csv')
    expect(summary.split('\r\n')[0]).toBe(
      'startTime,endTime,endpointSelector,namespaceNames,namespaceSelector,serviceAccountNames,serviceAccountSelectors,numCreatedPolicies,numModifiedPolicies,numDeletedPolicies',
    )
    expect(summary.split('\r\n')[1]).toMatch(/^2\d{3}-.*Z,2\d{3}-.*Z,,,,,,1,1,0$/)
    const events = JSON.parse(await report.file('events.json')) as Audited[]
    expect(events.map(({ verb, user }) => [verb, user.username])).toEqual([
      ['create', 'alice'],
      ['patch', 'alice'],
    ])
    const [, change] = events as [Audited, Audited]
    expect(change.responseObject.spec.selector).toBe("app in {'web', 'api'}")
    expect(JSON.parse(change.annotations['margay.dev/before'] as string).spec.selector).toBe("app == 'web'")
    expect(change.stageTimestamp).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(parseYaml(await report.file('events.yaml'))).toEqual(events)
    const about = await json<{ files: { name: string; sha256: string; bytes: number }[] }>(
      'GET',
      `/v1/reports/${report.id}`,
    )
    const sum = about.files.find(({ name }) => name === 'summary.csv')
    expect(sum).toMatchObject({ sha256: createHash('sha256').update(summary).digest('hex'), bytes: summary.length })
    const again = await json<{ id: string }>('POST', '/v1/reports/policy-audit/run', report.range)
    expect(again.id).toBe(report.id)
  })

  it('is in the report of the endpoints it applies to, once a snapshot tells where they were, and in no other', async () => {
    await eventually(
      'the first snapshot',
      async () =>
        (await json<{ rows: unknown[] }>('POST', '/v1/sql', '{"query":"SELECT name FROM snapshots"}')).rows.length >= 4,
      25_000,
    )
    const start = Date.now()
    await call('POST', '/v1/apply', policy("app == 'api'"))
    await call('POST', '/v1/apply', policy("app == 'cache'"))
    const report = await run('web-changes', start)
    const events = JSON.parse(await report.file('events.json')) as Audited[]
    expect(events.map(({ responseObject }) => responseObject.spec.selector)).toEqual(["app == 'api'"])
    expect(await report.file('summary.csv')).toContain(",app == 'web',shop,,,,0,1,0\r\n")
    expect(await json('GET', `/v1/reports/${report.id}`)).toMatchObject({ complete: true })
  })

  it('is refused in the form of a problem when the report is of no known name or its interval of no sense', async () => {
    const answer = await compliance.ask('/reports/nothing/run', {
      start: '2026-01-01T00:00:00Z',
      end: '2026-01-02T00:00:00Z',
    })
    expect(answer).toMatchObject({ status: 404, body: { code: 'REPORT_UNKNOWN' } })
    const future = { start: '2026-01-01T00:00:00Z', end: '2999-01-02T00:00:00Z' }
    expect(await compliance.ask('/reports/policy-audit/run', future)).toMatchObject({
      status: 422,
      body: { code: 'REPORT_INTERVAL_INVALID' },
    })
    expect((await compliance.ask('/reports')).body).toMatchObject({
      reports: [{ name: 'web-changes', suspended: false }],
    })
  })
})
