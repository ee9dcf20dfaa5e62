import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCluster } from '../../src/policy/cluster.ts'
import { findKind, keyOf, kinds } from '../../src/resources/kinds.ts'
import { parseResources } from '../../src/resources/parse.ts'
import { parsePath, printPath } from '../../src/resources/path.ts'

const accepted = readFileSync(new URL('fixtures/accepted.yaml', import.meta.url), 'utf8')

describe('reading resources', () => {
  test('the samples of ordinary Calico resources are accepted without a word', () => {
    const { resources, problems } = parseResources(accepted, 'accepted.yaml')
    expect(problems).toEqual([])
    expect(resources).toHaveLength(20)
  })

  test('a completed resource is accepted again and completes to itself', () => {
    const { resources } = parseResources(accepted)
    for (const { resource } of resources) {
      const again = parseResources(JSON.stringify(resource))
      expect(again.problems).toEqual([])
      expect(again.resources[0]?.resource).toEqual(resource)
    }
  })

  test('a problem names file, line, place and rule', () => {
    const text = `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: a}
---
# another document
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: b}
spec:
  ingress:
    - action: Allow
      destination:
        ports:
          - 80
`
    expect(parseResources(text, 'policy.yaml').problems).toEqual([
      {
        severity: 'error',
        file: 'policy.yaml',
        line: 14,
        path: 'spec.ingress[0].destination.ports[0]',
        rule: 'port-needs-protocol',
        message: 'port 80 needs protocol TCP, UDP or SCTP on the rule',
      },
    ])
  })

  test('lists of any kind are taken apart, in YAML and JSON', () => {
    const item = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } }
    const list = { apiVersion: 'v1', kind: 'List', items: [item, item] }
    expect(parseResources(JSON.stringify(list)).resources).toHaveLength(2)
    const typed = { apiVersion: 'v1', kind: 'NamespaceList', items: [{ metadata: { name: 'a' } }] }
    expect(parseResources(JSON.stringify(typed)).resources[0]?.resource.kind).toBe('Namespace')
    expect(parseResources(JSON.stringify([item])).resources).toHaveLength(1)
  })

  test('a problem inside a list is found on its line', () => {
    const text =
      'apiVersion: v1\nkind: List\nitems:\n  - apiVersion: projectcalico.org/v3\n    kind: Tier\n    metadata: {name: a.b}\n'
    expect(parseResources(text).problems).toMatchObject([{ line: 6, path: 'metadata.name', rule: 'name' }])
  })

  test('an unknown kind is a warning, and returned on request', () => {
    const text = 'apiVersion: apps/v1\nkind: Gadget\nmetadata: {name: a}\n'
    expect(parseResources(text)).toMatchObject({
      resources: [],
      problems: [{ severity: 'warning', rule: 'unknown-kind', line: 2 }],
    })
    expect(parseResources(text, undefined, { keepUnknown: true }).resources).toHaveLength(1)
  })

  test.each([
    ['a: [', 'yaml-syntax'],
    ['a: 1\na: 2', 'yaml-syntax'],
    ['just text', 'not-a-resource'],
    ['kind: Tier\nmetadata: {name: a}', 'required'],
    ['apiVersion: projectcalico.org/v3\nkind: Tier', 'required'],
  ])('%j is refused by %s', (text, rule) => {
    expect(parseResources(text).problems.map((problem) => problem.rule)).toContain(rule)
  })

  test('empty documents hold nothing', () => {
    expect(parseResources('---\n---\n# only a comment\n')).toEqual({ resources: [], problems: [] })
  })

  test('a misspelt field is named with the one that was meant', () => {
    const text = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: a}
spec: {selecter: all()}
`
    expect(parseResources(text).problems).toMatchObject([
      {
        severity: 'warning',
        rule: 'unknown-field',
        path: 'spec.selecter',
        message: expect.stringContaining('did you mean selector'),
      },
    ])
  })

  test('a place is written and read back, whatever the keys', () => {
    const path = ['metadata', 'labels', 'a.b/c', 'x', 3, 'y-z']
    expect(printPath(path)).toBe('metadata.labels["a.b/c"].x[3].y-z')
    expect(parsePath(printPath(path))).toEqual(path)
  })
})

describe('whatever the text', () => {
  const fragments = fc.constantFrom(
    'apiVersion: v1',
    'kind: Pod',
    'metadata:',
    '  name: x',
    '- a',
    '---',
    '{',
    '}',
    '[',
    ': ',
    '&a',
    '*a',
    '<<: *a',
    '"',
    '\t',
    '|',
    'spec: {nodeName: 1}',
  )

  test('reading never throws', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fragments, fc.string()), { maxLength: 12 }),
        (lines) => void parseResources(lines.join('\n')),
      ),
    )
    expect(parseResources('['.repeat(50_000)).problems[0]?.rule).toBe('yaml-syntax')
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${[...'bcdefghi'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`).join('\n')}`
    expect(parseResources(bomb).problems[0]?.rule).toBe('yaml-syntax')
  })

  test('a resource that passes validation completes and compiles', () => {
    const samples = parseResources(accepted).resources.map(({ resource }) => JSON.stringify(resource))
    const change = fc.record({
      sample: fc.constantFrom(...samples),
      at: fc.nat(),
      value: fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.constantFrom('all()', '10.0.0.0/8', 'TCP', 80, '1:2', 'a.example'),
      ),
    })
    fc.assert(
      fc.property(change, ({ sample, at, value }) => {
        const places: [Record<string, unknown>, string][] = []
        const collect = (node: unknown): void => {
          if (typeof node !== 'object' || node === null) return
          for (const [name, member] of Object.entries(node)) {
            places.push([node as Record<string, unknown>, name])
            collect(member)
          }
        }
        const resource = JSON.parse(sample)
        collect(resource)
        const [holder, name] = places[at % places.length] as [Record<string, unknown>, string]
        holder[name] = value
        const { resources } = parseResources(JSON.stringify(resource))
        const cluster = createCluster()
        for (const { resource: read } of resources) cluster.apply(read)
      }),
      { numRuns: 100 },
    )
  })
})

describe('kinds', () => {
  test('are found by every name they have', () => {
    const found = (name: string) => `${findKind(name)?.apiVersions[0]} ${findKind(name)?.kind}`
    expect(found('gnp')).toBe('projectcalico.org/v3 GlobalNetworkPolicy')
    expect(found('NetworkPolicy')).toBe('projectcalico.org/v3 NetworkPolicy')
    expect(found('networkpolicies.p')).toBe('projectcalico.org/v3 NetworkPolicy')
    expect(found('networkpolicies.networking.k8s.io')).toBe('networking.k8s.io/v1 NetworkPolicy')
    expect(found('netpol')).toBe('networking.k8s.io/v1 NetworkPolicy')
    expect(found('pods')).toBe('v1 Pod')
    expect(found('deploy.apps')).toBe('apps/v1 Deployment')
    expect(findKind('gadgets')).toBeNull()
  })

  test('have distinct plurals within a group', () => {
    const names = kinds.map((kind) => `${kind.plural} ${kind.apiVersions[0]}`)
    expect(new Set(names).size).toBe(names.length)
  })

  test('give resources an identity with group and namespace', () => {
    const key = (apiVersion: string, kind: string, namespace?: string) =>
      keyOf({ apiVersion, kind, metadata: { name: 'a', ...(namespace !== undefined && { namespace }) } })
    expect(key('v1', 'Pod', 'dev')).toBe('pods.core/dev/a')
    expect(key('v1', 'Pod')).toBe('pods.core/default/a')
    expect(key('v1', 'Namespace', 'x')).toBe('namespaces.core/-/a')
    expect(key('networking.k8s.io/v1', 'NetworkPolicy', 'dev')).toBe('networkpolicies.networking.k8s.io/dev/a')
  })
})
