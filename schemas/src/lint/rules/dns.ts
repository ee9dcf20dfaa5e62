import type { FlatRule } from '../../policy/flat-policy.ts'
import { namespacePrefix } from '../../policy/flat-selector.ts'
import { covers, matchesEverything } from '../containment.ts'
import { governs, type LintContext, type LintPolicy } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { implies } from '../implication.ts'
import { listOfThings, type Thing } from '../inventory.ts'
import { demandedLabels } from '../labels.ts'
import { outcomesOf } from '../outcomes.ts'
import { holdsPort, isAnyPort } from '../ports.ts'

const tcp = 6
const udp = 17

/** Rules that let names be asked over UDP and forget TCP. */
export const udpOnlyDns: LintRule = {
  id: 'udp-only-dns',
  severity: 'warning',
  title: 'a rule that allows DNS over UDP and not over TCP',
  why: 'An answer that does not fit a UDP packet is asked for again over TCP: names with many addresses stop resolving, now and then.',
  remedy: 'Allow port 53 with protocol TCP to the same destination too.',
  check({ policies }, report) {
    for (const policy of policies) {
      for (const rule of policy.flat.rules.egress) {
        if (rule.action !== 'allow' || rule.protocol !== udp || !holdsPort(rule.destination.ports, 53)) continue
        const only53: FlatRule = {
          ...rule,
          protocol: tcp,
          destination: { ...rule.destination, ports: { ranges: [{ first: 53, last: 53 }], names: [] } },
        }
        const allows = (other: LintPolicy) =>
          (other === policy || isAround(other, policy)) &&
          other.flat.rules.egress.some((each) => each.action === 'allow' && covers(each, only53))
        if (policies.some(allows)) continue
        report(
          policy.subject,
          ['spec', 'egress', rule.index, ...(policy.spec === null ? [] : ['protocol'])],
          `${policy.title} allows DNS over UDP only`,
        )
      }
    }
  },
}

/** True when an enforced policy applies wherever another does. */
function isAround(other: LintPolicy, policy: LintPolicy): boolean {
  return (
    governs(other, 'egress') &&
    (implies(policy.flat.selector.expression, other.flat.selector.expression) ||
      (policy.endpoints.length > 0 && policy.endpoints.every((endpoint) => other.selects(endpoint))))
  )
}

/** Policies that leave workloads without a name server. */
export const dnsBlocked: LintRule = {
  id: 'dns-blocked',
  severity: 'warning',
  title: 'a policy that leaves its endpoints without DNS',
  why: 'Nearly everything starts with a name: without DNS a workload fails before it tries the connections that are allowed.',
  remedy: 'Allow (or pass) UDP and TCP port 53 to the name servers, in this policy or in one that comes before it.',
  check(context, report) {
    const found = context.inventory.hasWorkloads ? blockedEndpoints(context) : blockingPolicies(context)
    for (const [policy, { rule, endpoints }] of found) {
      const who =
        endpoints.length === 0
          ? 'the endpoints that it selects'
          : `${endpoints.length} ${endpoints.length === 1 ? 'endpoint' : 'endpoints'} (${listOfThings(endpoints)})`
      const by = rule < 0 ? 'denies what no rule allows' : `denies it by rule ${rule}`
      report(
        policy.subject,
        rule < 0 ? ['spec', 'egress'] : ['spec', 'egress', rule],
        `${policy.title} leaves ${who} without DNS: it ${by}`,
      )
    }
  },
}

type Blocked = ReadonlyMap<LintPolicy, { readonly rule: number; readonly endpoints: Thing[] }>

/** Endpoints none of whose questions can reach a name server, by the policy that sees to it. */
function blockedEndpoints(context: LintContext): Blocked {
  const found = new Map<LintPolicy, { readonly rule: number; readonly endpoints: Thing[] }>()
  const servers = nameServers(context)
  for (const endpoint of context.inventory.endpoints) {
    if (endpoint.kind !== 'wep' || servers.includes(endpoint)) continue
    const answers = servers.map((peer) => outcomesOf(context, endpoint, 'egress', { protocol: udp, port: 53, peer }))
    const denied = answers.find(({ allow }) => allow.length === 0)?.deny[0]
    if (denied?.policy == null || answers.some(({ allow }) => allow.length > 0)) continue
    if (isIsolation(denied.policy, denied.rule)) continue
    const had = found.get(denied.policy)
    if (had === undefined) found.set(denied.policy, { rule: denied.rule, endpoints: [endpoint] })
    else had.endpoints.push(endpoint)
  }
  return found
}

/** The pods that answer for the cluster; one as every cluster has it where none is given. */
function nameServers({ inventory }: LintContext): Thing[] {
  const servers = inventory.endpoints.filter(
    ({ kind, namespace, merged }) =>
      kind === 'wep' && namespace === 'kube-system' && ['kube-dns', 'coredns'].includes(merged['k8s-app'] ?? ''),
  )
  if (servers.length > 0) return servers
  const labels = { 'k8s-app': 'kube-dns' }
  return [
    {
      key: 'wep:kube-system/kube-dns',
      kind: 'wep',
      namespace: 'kube-system',
      name: 'kube-dns',
      labels,
      ownLabels: labels,
      merged: {
        ...inventory.profile('kns.kube-system')?.labels,
        ...labels,
        'projectcalico.org/namespace': 'kube-system',
        'projectcalico.org/orchestrator': 'k8s',
      },
      profiles: ['kns.kube-system'],
      nets: [],
      domains: [],
      endpoint: null,
      containerPorts: [],
    },
  ]
}

/** Cutting something off completely is what a quarantine is for: it denies everything, both ways, to what carries its label. */
function isIsolation({ flat }: LintPolicy, rule: number): boolean {
  if (rule < 0) return false
  const deniesAll = (rules: readonly FlatRule[]) =>
    rules.some((each) => each.action === 'deny' && matchesEverything(each)) &&
    rules.every(({ action }) => action === 'deny' || action === 'log')
  const labels = demandedLabels(flat.selector.expression)
  return (
    deniesAll(flat.rules.ingress) &&
    deniesAll(flat.rules.egress) &&
    labels.some((label) => !label.startsWith(namespacePrefix) && !label.startsWith('projectcalico.org/'))
  )
}

/** Without endpoints to try: policies that deny, where no policy at all allows or passes a question. */
function blockingPolicies(context: LintContext): Blocked {
  const { policies, tiers } = context
  const [server] = nameServers(context) as [Thing]
  const leadsThere = ({ destination: { selector, notSelector } }: FlatRule) =>
    (selector === null || selector.matches(server.merged)) && notSelector?.matches(server.merged) !== true
  const asks = (rule: FlatRule) =>
    leadsThere(rule) &&
    rule.action !== 'deny' &&
    rule.action !== 'log' &&
    (rule.protocol === null || rule.protocol === udp || rule.protocol === tcp) &&
    (isAnyPort(rule.destination.ports) ||
      rule.destination.ports.names.length > 0 ||
      holdsPort(rule.destination.ports, 53))
  const egress = policies.filter((policy) => governs(policy, 'egress'))
  if (egress.some(({ flat }) => flat.rules.egress.some(asks))) return new Map()
  return new Map(
    egress.flatMap((policy) => {
      const tier = tiers.find(({ name }) => name === policy.flat.ref.tier)
      const { rules, doNotTrack } = policy.flat
      const rule = rules.egress.find((each) => each.action === 'deny' && matchesEverything(each))
      if (doNotTrack || (rule === undefined && tier?.endsInDeny !== true)) return []
      if (isIsolation(policy, rule?.index ?? -1)) return []
      return [[policy, { rule: rule?.index ?? -1, endpoints: [] }]] as const
    }),
  )
}
