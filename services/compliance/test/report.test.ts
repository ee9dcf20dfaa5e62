import type { Evidence } from '@margay/compliance/evidence'
import { createGenerator } from '@margay/compliance/generator'
import type { GlobalReport } from '@margay/compliance/global-report'
import { beforeAnnotation } from '@margay/compliance/history'
import type { AuditRecord } from '@margay/compliance/policy-audit'
import { csvText } from '@margay/compliance/report-files'
import type { AuditEvent, Resource } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'

const start = Date.parse('2026-03-01T00:00:00Z')
const hour = 3_600_000
const interval = { start, end: start + 24 * hour }

const aPolicy = (name: string, selector: string, namespace = 'shop'): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { name, namespace },
  spec: { selector, types: ['Ingress'], ingress: [{ action: 'Allow' }] },
})
const aPod = (name: string, labels: Record<string, string>, namespace = 'shop'): Resource => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace, labels },
  spec: { nodeName: 'node1', containers: [] },
  status: { podIP: '10.0.0.9' },
})

/** One audited change; `at` in hours after the start of the interval. */
function change(
  at: number,
  verb: string,
  object: Resource,
  before: Resource | null = null,
  rest: Partial<AuditRecord> = {},
): AuditRecord {
  const resource = object.kind === 'Pod' ? 'pods' : object.kind === 'Namespace' ? 'namespaces' : 'networkpolicies'
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    auditID: `id-${at}-${object.metadata.name}`,
    level: 'RequestResponse',
    stage: 'ResponseComplete',
    verb,
    requestURI: '/x',
    user: { username: 'alice' },
    objectRef: {
      resource,
      name: object.metadata.name,
      ...(object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace }),
      ...(resource === 'networkpolicies' ? { apiGroup: 'projectcalico.org' } : {}),
    },
    responseStatus: { code: 200 },
    requestObject: object,
    responseObject: object,
    stageTimestamp: new Date(start + at * hour).toISOString(),
    ...(before === null ? {} : { annotations: { [beforeAnnotation]: JSON.stringify(before) } }),
    ...rest,
  }
}

function someEvidence(events: AuditRecord[], snapshot: Resource[] = [], time = start - hour): Evidence {
  return {
    complete: async () => {},
    changes: async (resources, { start: from, end }) =>
      events.filter(({ objectRef, stageTimestamp }) => {
        const at = Date.parse(stageTimestamp)
        return resources.includes(objectRef?.resource ?? '') && at >= from && at < end
      }),
    snapshot: async () => ({ time, objects: snapshot }),
  }
}

const generate = (evidence: Evidence, spec: Partial<GlobalReport['spec']> = {}, now = interval.end + hour) =>
  createGenerator({ cluster: 'c', host: 'h' }, { evidence, now: () => now }).generate(
    { uid: 'u', name: 'audit', created: null, spec: { reportType: 'policy-audit', ...spec } },
    interval,
  )
const fileOf = async (report: ReturnType<typeof generate>, name: string) =>
  ((await report).files as { name: string; content: string }[]).find((file) => file.name === name)?.content ?? ''
const namesIn = async (report: ReturnType<typeof generate>) =>
  (JSON.parse(await fileOf(report, 'events.json')) as AuditEvent[]).map(({ objectRef }) => objectRef?.name)

const web = aPolicy('web', "app == 'web'")
const events = [
  change(1, 'create', web),
  change(2, 'patch', aPolicy('web', "app in {'web', 'api'}"), web),
  change(3, 'update', web, web, {
    objectRef: { resource: 'networkpolicies', name: 'web', namespace: 'shop', subresource: 'status' },
  }),
  change(4, 'update', web, null, { responseStatus: { code: 403 } }),
  change(5, 'delete', web, web),
]

describe('the policy-audit report', () => {
  it('has the headings and figures of summary.csv, status updates and refusals not counted as changes', async () => {
    expect(await fileOf(generate(someEvidence(events)), 'summary.csv')).toBe(
      'startTime,endTime,endpointSelector,namespaceNames,namespaceSelector,serviceAccountNames,serviceAccountSelectors,numCreatedPolicies,numModifiedPolicies,numDeletedPolicies\r\n' +
        '2026-03-01T00:00:00.000Z,2026-03-02T00:00:00.000Z,,,,,,1,1,1\r\n',
    )
    expect((await generate(someEvidence(events))).summary).toMatchObject({
      widgets: [{ type: 'radialbarchart', summary: { label: 'Total', total: 3 } }],
      auditSummary: { numStatusOnly: 1, numRefused: 1 },
    })
  })

  it('lists every event with its user and what was before, the same in JSON and YAML', async () => {
    const json = JSON.parse(await fileOf(generate(someEvidence(events)), 'events.json')) as AuditRecord[]
    expect(json).toEqual(events)
    expect(parseYaml(await fileOf(generate(someEvidence(events)), 'events.yaml'))).toEqual(events)
    expect(json[1]?.annotations?.[beforeAnnotation]).toBe(JSON.stringify(web))
  })

  it('is the same to the byte whenever it is made, and has the same id', async () => {
    const [one, two] = await Promise.all([
      generate(someEvidence(events)),
      generate(someEvidence(events), {}, interval.end + 100 * hour),
    ])
    expect(two.files).toEqual(one.files)
    expect(two.id).toBe(one.id)
    expect(two.generated_time).not.toBe(one.generated_time)
  })

  it('covers its start and not its end', async () => {
    const edges = [change(0, 'create', aPolicy('first', 'all()')), change(24, 'create', aPolicy('next', 'all()'))]
    expect(await namesIn(generate(someEvidence(edges)))).toEqual(['first'])
  })

  it('keeps a change when the policy applied to an endpoint in scope before it or after it', async () => {
    const snapshot = [
      aPod('web-1', { app: 'web', pci: 'true' }),
      aPod('db-1', { app: 'db' }),
      aPolicy('narrowed', "app == 'web'"),
    ]
    const changes = [
      change(1, 'create', aPolicy('hits', "app == 'web'")),
      change(1, 'create', aPolicy('misses', "app == 'db'")),
      change(1, 'create', aPolicy('elsewhere', 'all()', 'dev')),
      change(2, 'patch', aPolicy('narrowed', "app == 'db'"), aPolicy('narrowed', "app == 'web'")),
      change(3, 'patch', aPolicy('narrowed', "app == 'cache'"), aPolicy('narrowed', "app == 'db'")),
    ]
    const report = generate(someEvidence(changes, snapshot), { endpoints: { selector: "pci == 'true'" } })
    expect(await namesIn(report)).toEqual(['hits', 'narrowed'])
    expect(await report).toMatchObject({ complete: true })
  })

  it('follows endpoints as they come and go, with the namespace that takes them along', async () => {
    const namespace = (name: string): Resource => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { env: 'prod' } },
    })
    const all = (name: string) => aPolicy(name, "app == 'web'")
    const changes = [
      change(1, 'create', all('too-early')),
      change(2, 'create', aPod('web-1', { app: 'web' })),
      change(3, 'create', all('in-time')),
      change(4, 'delete', namespace('shop')),
      change(5, 'create', all('too-late')),
    ]
    const endpoints = { namespaces: { names: ['shop'], selector: "env == 'prod'" } }
    expect(await namesIn(generate(someEvidence(changes, [namespace('shop')]), { endpoints }))).toEqual(['in-time'])
  })

  it('says that evidence is missing when there is no snapshot from before', async () => {
    const report = await generate(someEvidence(events, [], start + hour), { endpoints: {} })
    expect(report).toMatchObject({ complete: false, incomplete_reasons: [expect.stringContaining('no snapshot')] })
  })

  it.each([
    [{ reportType: 'inventory' }, interval.end, 'REPORT_TYPE_UNSUPPORTED'],
    [{}, interval.end - 1, 'REPORT_INTERVAL_INVALID'],
  ])('is refused for %j made at %d', async (spec, now, code) => {
    await expect(generate(someEvidence([]), spec, now)).rejects.toMatchObject({ code })
  })
})

describe('CSV', () => {
  it('quotes what needs it and disarms what a spreadsheet would calculate', () => {
    expect(csvText([{ a: 'x,"y"\nz', b: "=cmd|'/c calc'!A0", c: 3 }])).toBe(
      `a,b,c\r\n"x,""y""\nz",'=cmd|'/c calc'!A0,3\r\n`,
    )
  })
})
