import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../src/policy/cluster.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Judgement, Packet } from '../../src/policy/model.ts'
import { formatTrace } from '../../src/policy/trace.ts'
import { keyOf } from '../../src/resources/kinds.ts'
import { parseResources } from '../../src/resources/parse.ts'
import type { Resource } from '../../src/resources/resource.ts'

/** The ladder: a shop and a dev team go from no policy to a default deny and back out to chosen names, stage by stage. */
type Stage = 's0' | 's1' | 's2' | 's3' | 's4' | 's5' | 's6' | 's7' | 's8' | 's9' | 's10'
const stages: readonly Stage[] = ['s0', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10']

const read = (path: string): Resource[] => {
  const { resources, problems } = parseResources(readFileSync(new URL(path, import.meta.url), 'utf8'), path)
  expect(problems).toEqual([])
  return resources.map(({ resource }) => resource)
}
const topology = read('fixtures/topology.yaml')
const ladder = (name: string) => read(`../../../test/fixtures/ladder/${name}.yaml`)
const podOf = (app: string) =>
  topology.find(
    ({ kind, metadata: { name, labels } }) =>
      kind === 'Pod' && (labels?.app === app || labels?.['k8s-app'] === app || name === app),
  ) as Resource
const ipOf = (app: string) => (podOf(app).status as { podIP: string }).podIP

function clusterAt(stage: Stage): Cluster {
  const cluster = createCluster()
  for (const resource of topology) cluster.apply(resource)
  for (const step of stages.slice(1, stages.indexOf(stage) + 1)) {
    if (step === 's10') {
      const centos = podOf('centos')
      const labels = { ...centos.metadata.labels, quarantine: 'true' }
      cluster.apply({ ...centos, metadata: { ...centos.metadata, labels } })
      continue
    }
    for (const resource of ladder(step)) cluster.apply(resource)
    if (step === 's4') for (const resource of ladder('s4-remove')) cluster.remove(keyOf(resource))
  }
  return cluster
}

const clusters = new Map(stages.map((stage) => [stage, clusterAt(stage)]))
const clusterOf = (stage: Stage) => clusters.get(stage) as Cluster

const outside = { google: '142.250.74.100', twilio: '54.172.60.10', feodo: '198.51.100.66' }
const names: Readonly<Record<string, string>> = { google: 'www.google.com', twilio: 'api.twilio.com' }
type Target = keyof typeof outside | string

function packet(from: string, to: Target, port: number, protocol = 6): Packet {
  const domain = names[to]
  return {
    sourceIp: ipOf(from),
    destinationIp: to in outside ? outside[to as keyof typeof outside] : ipOf(to),
    protocol,
    sourcePort: 40000,
    destinationPort: port,
    ...(domain !== undefined && { domains: [domain] }),
  }
}

/** `allow`, `staged` (allowed, but staged policy would deny), `egress` or `ingress` (denied there). */
function outcome(stage: Stage, ...probe: Parameters<typeof packet>): string {
  const { verdict, egress, ingress, pending } = evaluate(clusterOf(stage), packet(...probe))
  if (egress?.verdict === 'deny') return 'egress'
  if (ingress?.verdict === 'deny') return 'ingress'
  expect(verdict).toBe('allow')
  return pending.egress?.verdict === 'deny' || pending.ingress?.verdict === 'deny' ? 'staged' : 'allow'
}

const trace = (judgement: Judgement | null | undefined) => judgement?.trace.map(formatTrace)
const boutique: readonly (readonly [string, string, number])[] = [
  ['loadgenerator', 'frontend', 8080],
  ['frontend', 'adservice', 9555],
  ['frontend', 'cartservice', 7070],
  ['frontend', 'checkoutservice', 5050],
  ['frontend', 'currencyservice', 7000],
  ['frontend', 'productcatalogservice', 3550],
  ['frontend', 'recommendationservice', 8080],
  ['frontend', 'shippingservice', 50051],
  ['checkoutservice', 'productcatalogservice', 3550],
  ['checkoutservice', 'shippingservice', 50051],
  ['checkoutservice', 'paymentservice', 50051],
  ['checkoutservice', 'emailservice', 8080],
  ['checkoutservice', 'currencyservice', 7000],
  ['checkoutservice', 'cartservice', 7070],
  ['recommendationservice', 'productcatalogservice', 3550],
  ['cartservice', 'redis-cart', 6379],
]

type Outcomes = readonly string[]
/** Outcomes at s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10. */
const row = (text: string): Outcomes => text.split(' ')
const always = row('allow allow staged allow allow allow allow allow allow allow allow')
const lateral = row('allow allow staged staged egress egress egress egress egress egress egress')

const probes: readonly (readonly [string, Target, number, Outcomes])[] = [
  ...boutique.map(([from, to, port]) => [from, to, port, always] as const),
  ['centos', 'nginx', 80, row('allow allow staged allow allow allow allow allow allow allow egress')],
  ['netshoot', 'nginx', 80, lateral],
  ['centos', 'frontend', 8080, row('allow allow staged egress egress egress allow allow allow allow egress')],
  ['loadgenerator', 'nginx', 80, row('allow allow staged ingress egress egress egress egress egress egress egress')],
  ['centos', 'google', 80, row('allow allow staged egress egress egress egress egress egress allow egress')],
  ['centos', 'google', 443, row('allow allow staged egress egress egress egress egress egress allow egress')],
  ['centos', 'twilio', 443, row('allow allow staged egress egress egress egress allow allow allow egress')],
  ['loadgenerator', 'google', 80, lateral],
  ['checkoutservice', 'google', 80, always],
  ['frontend', 'google', 8080, always],
  ['checkoutservice', 'feodo', 80, row('allow allow staged allow allow egress egress egress egress egress egress')],
  ['centos', 'feodo', 80, row('allow allow staged egress egress egress egress egress egress egress egress')],
  ['loadgenerator', 'feodo', 80, lateral],
  ['emailservice', 'paymentservice', 50051, lateral],
  ['adservice', 'redis-cart', 6379, lateral],
  ['frontend', 'redis-cart', 6379, lateral],
  ['netshoot', 'paymentservice', 50051, lateral],
]

describe('the policy ladder', () => {
  test.each(probes)('%s to %s:%i', (from, to, port, outcomes) => {
    expect(stages.map((stage) => outcome(stage, from, to, port))).toEqual(outcomes)
  })

  const pods = topology.filter(({ kind, metadata }) => kind === 'Pod' && metadata.namespace !== 'kube-system')
  test.each(pods.map(({ metadata }) => metadata.name))('%s asks kube-dns over UDP', (name) => {
    const outcomes = stages.map((stage) => outcome(stage, name, 'kube-dns', 53, 17))
    expect(outcomes).toEqual(stages.map((stage) => (stage === 's10' && name === 'centos' ? 'egress' : 'allow')))
  })

  test('DNS over TCP is forgotten by the policy that allows DNS', () => {
    expect(stages.slice(1, 5).map((stage) => outcome(stage, 'netshoot', 'kube-dns', 53))).toEqual([
      'allow',
      'staged',
      'staged',
      'egress',
    ])
  })
})

describe('traces on the ladder', () => {
  const passes = ['0|security|security.pass-to-next-tier|pass|0', '1|platform|platform.pass-to-next-tier|pass|0']
  const allPasses = [...passes, '2|application|application.pass-to-next-tier|pass|0']

  test('with staged policy only, the enforced trace ends in the profile and the pending one in the staged policy', () => {
    const { egress, pending } = evaluate(clusterOf('s2'), packet('loadgenerator', 'frontend', 8080))
    expect(trace(egress)).toEqual([...allPasses, '3|__PROFILE__|__PROFILE__.kns.default|allow|0'])
    expect(trace(pending.egress)).toEqual([...allPasses, '3|default|staged:default.default-deny|deny|-1'])
  })

  test('both ends of an allowed call name the rule that allowed it', () => {
    const { egress, ingress } = evaluate(clusterOf('s4'), packet('loadgenerator', 'frontend', 8080))
    expect(trace(egress)).toEqual([...passes, '2|application|default/application.loadgenerator|allow|1'])
    expect(trace(ingress)).toEqual([...passes, '2|application|default/application.frontend|allow|0'])
  })

  test('Kubernetes policies are named in tier default', () => {
    const { egress, ingress } = evaluate(clusterOf('s4'), packet('centos', 'nginx', 80))
    expect(trace(egress)).toEqual([...allPasses, '3|default|dev/knp.default.centos|allow|0'])
    expect(trace(ingress)).toEqual([...allPasses, '3|default|dev/knp.default.nginx|allow|0'])
  })

  test('the end of a tier is attributed to its last policy that selects the endpoint', () => {
    const end = (stage: Stage) => trace(evaluate(clusterOf(stage), packet('centos', 'frontend', 8080)).egress)
    expect(end('s3')).toEqual([...allPasses, '3|default|dev/knp.default.centos|deny|-1'])
    expect(end('s4')).toEqual([...allPasses, '3|default|default.default-deny|deny|-1'])
  })

  test('a Pass by rule leads on, and the rule that allows ends the trace', () => {
    const { egress, ingress } = evaluate(clusterOf('s6'), packet('centos', 'frontend', 8080))
    expect(trace(egress)).toEqual([
      '0|security|security.block-feodo|pass|1',
      '1|platform|dev/platform.centos-to-frontend|allow|1',
    ])
    expect(trace(ingress)).toEqual([...passes, '2|application|default/application.frontend|allow|1'])
  })

  test.each(['s7', 's8', 's9'] as const)('a domain name decides in one hop at %s', (stage) => {
    expect(trace(evaluate(clusterOf(stage), packet('centos', 'twilio', 443)).egress)).toEqual([
      '0|security|security.external-domains-access|allow|0',
    ])
    expect(trace(evaluate(clusterOf(stage), packet('centos', 'feodo', 80)).egress)).toEqual([
      '0|security|security.block-feodo|deny|0',
    ])
  })

  test('a name that was not looked up opens nothing, and a wildcard does not match the name it hangs on', () => {
    const { domains: _, ...literal } = packet('centos', 'twilio', 443)
    expect(evaluate(clusterOf('s9'), literal).verdict).toBe('deny')
    expect(evaluate(clusterOf('s9'), { ...packet('centos', 'google', 443), domains: ['google.com'] }).verdict).toBe(
      'deny',
    )
  })

  test('quarantine denies after logging', () => {
    expect(trace(evaluate(clusterOf('s10'), packet('centos', 'nginx', 80)).egress)).toEqual([
      '0|security|security.quarantine|deny|1',
    ])
  })
})
