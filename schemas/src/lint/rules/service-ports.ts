import type { FlatRule } from '../../policy/flat-policy.ts'
import type { ServiceSpec } from '../../resources/kinds/endpoint.ts'
import { protocolNumber } from '../../resources/protocol.ts'
import type { Resource } from '../../resources/resource.ts'
import { directions, type LintContext, type LintPolicy } from '../context.ts'
import type { LintRule } from '../finding.ts'
import type { Thing } from '../inventory.ts'
import { holdsPort, isAnyPort } from '../ports.ts'

/** Rules that allow the port of a service where the port of the pods behind it is judged. */
export const servicePort: LintRule = {
  id: 'service-port',
  severity: 'warning',
  title: 'a rule that allows the port of a service instead of the port of its pods',
  why: 'Policy judges a connection after the service address was replaced by that of a pod: it sees the port on which the pod listens. A rule for the port of the service never matches.',
  remedy: 'Write the target port of the service, or use services in the destination of the rule.',
  check(context, report) {
    for (const policy of context.policies) {
      for (const direction of directions) {
        for (const rule of policy.flat.rules[direction]) {
          if (rule.action !== 'allow' || rule.protocol === null) continue
          const pods = podsOf(rule, policy, { context, direction })
          for (const [index, { first, last }] of rule.destination.ports.ranges.entries()) {
            const meant = first === last ? targetOf(context, pods, { port: first, protocol: rule.protocol }) : null
            if (meant === null || isAllowed(policy, direction, rule, meant.port)) continue
            const place = policy.spec === null ? ['ports'] : ['destination', 'ports', index]
            report(
              policy.subject,
              ['spec', direction, rule.index, ...place],
              `${policy.title} allows port ${first} of the service ${meant.service}, whose pods listen on ${meant.port}`,
            )
          }
        }
      }
    }
  },
}

/** The pods that a rule leads to, as far as its selectors tell; none when it does not select. */
function podsOf(
  { destination }: FlatRule,
  policy: LintPolicy,
  { context, direction }: { context: LintContext; direction: 'ingress' | 'egress' },
): readonly Thing[] {
  const pods = (things: readonly Thing[]) => things.filter(({ kind }) => kind === 'wep')
  if (direction === 'ingress') return pods(policy.endpoints)
  return destination.selector === null ? [] : pods(context.inventory.select(destination.selector.expression))
}

/** The port behind a service port of these pods; null when the port is one on which they listen, or no service's at all. */
function targetOf(
  { resources }: LintContext,
  pods: readonly Thing[],
  { port, protocol }: { readonly port: number; readonly protocol: number },
): { readonly service: string; readonly port: number } | null {
  if (pods.some(({ containerPorts }) => containerPorts.includes(port))) return null
  let found: { readonly service: string; readonly port: number } | null = null
  for (const { resource } of resources) {
    if (resource.kind !== 'Service') continue
    const behind = pods.filter((pod) => isBehind(pod, resource))
    for (const each of ((resource.spec ?? {}) as ServiceSpec).ports ?? []) {
      const target = targetPort(each, behind)
      if (target === null || protocolNumber(each.protocol ?? 'TCP') !== protocol) continue
      if (target === port) return null
      if (each.port === port) found = { service: resource.metadata.name, port: target }
    }
  }
  return found
}

function isBehind({ namespace, ownLabels }: Thing, { metadata, spec }: Resource): boolean {
  const { selector = {} } = (spec ?? {}) as ServiceSpec
  const wanted = Object.entries(selector)
  return (
    wanted.length > 0 &&
    namespace === (metadata.namespace ?? 'default') &&
    wanted.every(([key, value]) => ownLabels[key] === value)
  )
}

function targetPort(
  { port, targetPort: target = port }: NonNullable<ServiceSpec['ports']>[number],
  behind: readonly Thing[],
): number | null {
  if (behind.length === 0) return null
  if (typeof target === 'number' || /^\d+$/.test(target)) return Number(target)
  return behind[0]?.endpoint?.ports.find(({ name }) => name === target)?.port ?? null
}

/** True when the policy allows the other port to the same destination too. */
function isAllowed({ flat }: LintPolicy, direction: 'ingress' | 'egress', rule: FlatRule, port: number): boolean {
  return flat.rules[direction].some(
    ({ action, protocol, destination }) =>
      action === 'allow' &&
      (protocol === null || protocol === rule.protocol) &&
      (isAnyPort(destination.ports) || holdsPort(destination.ports, port)) &&
      (destination.selector === null || destination.selector.canonical === rule.destination.selector?.canonical),
  )
}
