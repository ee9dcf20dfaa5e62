import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createContext, directions } from '../../src/lint/context.ts'
import { lint } from '../../src/lint/lint.ts'
import { anyProbe, outcomesOf } from '../../src/lint/outcomes.ts'
import { createCluster } from '../../src/policy/cluster.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Evaluation, Packet } from '../../src/policy/model.ts'
import { completeResource } from '../../src/resources/kinds.ts'
import type { EntityRuleSpec, RuleSpec } from '../../src/resources/policy-spec.ts'
import type { Resource } from '../../src/resources/resource.ts'

/** Small clusters in which rules meet often: four pods, two labels, three tiers, few ports. */
const ips = ['10.0.0.1', '10.0.0.2', '10.0.1.3', '10.0.1.4']
const labels = [{ a: 'x' }, { a: 'y' }, { a: 'x', b: 'z' }, {}]
const pods = ips.map(
  (podIP, i): Resource => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${i}`, namespace: 'n', labels: labels[i] as Record<string, string> },
    spec: { nodeName: 'node1' },
    status: { podIP },
  }),
)
const selector = fc.constantFrom('all()', "a == 'x'", 'has(a)', "b == 'z'", "a != 'x'", '!has(b)')
const somebody = fc.record<EntityRuleSpec>(
  { selector, nets: fc.constantFrom(['10.0.0.0/24'], ['10.0.1.0/24', '10.0.0.1/32'], ['10.0.0.0/16']) },
  { requiredKeys: [] },
)
const peer = fc.oneof({ weight: 2, arbitrary: fc.constant<EntityRuleSpec>({}) }, { weight: 1, arbitrary: somebody })
const rule = fc
  .record({
    action: fc.constantFrom<RuleSpec['action']>('Allow', 'Deny', 'Pass', 'Log'),
    protocol: fc.constantFrom<('TCP' | 'UDP' | undefined)[]>(undefined, 'TCP', 'UDP'),
    source: peer,
    destination: peer,
    ports: fc.constantFrom<(number | string)[][]>([], [80], ['80:90'], [443]),
  })
  .map(({ action, protocol, source, destination, ports }): RuleSpec => {
    const hasPorts = protocol !== undefined && ports.length > 0
    return {
      action,
      ...(protocol !== undefined && { protocol }),
      source,
      destination: { ...destination, ...(hasPorts && { ports }) },
    }
  })
const rules = fc.array(rule, { maxLength: 3 })
const tiers = ['first', 'second', 'default']
const policy = fc.record({
  tier: fc.constantFrom(...tiers),
  order: fc.integer({ min: 1, max: 4 }),
  selector,
  types: fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
  ingress: rules,
  egress: rules,
})
const cluster = fc
  .record({
    policies: fc.array(policy, { minLength: 1, maxLength: 5 }),
    defaults: fc.array(fc.constantFrom('Deny', 'Pass'), { minLength: 2, maxLength: 2 }),
  })
  .map(({ policies, defaults }): Resource[] =>
    [
      ...pods,
      ...defaults.map((defaultAction, i) => ({
        apiVersion: 'projectcalico.org/v3',
        kind: 'Tier',
        metadata: { name: tiers[i] as string },
        spec: { order: i + 1, defaultAction },
      })),
      ...policies.map((spec, i) => ({
        apiVersion: 'projectcalico.org/v3',
        kind: 'GlobalNetworkPolicy',
        metadata: { name: `g${i}` },
        spec,
      })),
    ].map(completeResource),
  )

const packets: readonly Packet[] = ips.flatMap((sourceIp) =>
  [...ips, '192.0.2.1'].flatMap((destinationIp) =>
    [6, 17].flatMap((protocol) =>
      [80, 85, 443, 8080].map((destinationPort) => ({
        sourceIp,
        destinationIp,
        protocol,
        sourcePort: 40_000,
        destinationPort,
      })),
    ),
  ),
)

function evaluations(resources: readonly Resource[]): (Evaluation & { readonly packet: Packet })[] {
  const model = createCluster()
  for (const resource of resources) model.apply(resource)
  return packets.map((packet) => ({ ...evaluate(model, packet), packet }))
}

/** The nightly run tries more. */
const runs = process.env.MARGAY_NIGHTLY === '1' ? 5000 : 24

test('a rule that is said to be never reached is in no trace of the evaluator', () => {
  let shadowed = 0
  fc.assert(
    fc.property(cluster, (resources) => {
      const found = lint(resources.map((resource) => ({ resource }))).filter(
        (finding) => finding.rule === 'shadowed-rule',
      )
      if (found.length === 0) return
      shadowed += found.length
      const said = new Set(found.map(({ object, path }) => `${object.split(' ')[1]} ${path}`))
      const reached = evaluations(resources).flatMap((evaluation) =>
        directions.flatMap((direction) =>
          (evaluation[direction]?.trace ?? []).map(
            ({ ref, ruleIndex }) => `${ref.name} spec.${direction}[${ruleIndex}]`,
          ),
        ),
      )
      expect(reached.filter((place) => said.has(place))).toEqual([])
    }),
    { numRuns: runs },
  )
  expect(shadowed).toBeGreaterThan(5)
}, 120_000)

test('what is said to be impossible never happens', () => {
  let impossible = 0
  fc.assert(
    fc.property(cluster, (resources) => {
      const context = createContext(
        resources.map((resource) => ({ resource })),
        true,
      )
      const judged = evaluations(resources)
      for (const [index, endpoint] of context.inventory.endpoints.entries()) {
        for (const direction of directions) {
          for (const probe of [anyProbe, { protocol: 6, port: 80, peer: null }]) {
            const { allow, deny } = outcomesOf(context, endpoint, direction, probe)
            const verdicts = judged
              .filter(({ packet }) => (direction === 'ingress' ? packet.destinationIp : packet.sourceIp) === ips[index])
              .filter(({ packet }) => packet.sourceIp !== packet.destinationIp)
              .filter(({ packet }) => probe.port === null || (packet.protocol === 6 && packet.destinationPort === 80))
              .map((evaluation) => evaluation[direction]?.verdict)
            if (allow.length === 0) expect(verdicts).not.toContain('allow')
            if (deny.length === 0) expect(verdicts).not.toContain('deny')
            if (allow.length === 0 || deny.length === 0) impossible++
          }
        }
      }
    }),
    { numRuns: runs / 2 },
  )
  expect(impossible).toBeGreaterThan(20)
}, 120_000)
