import { createHostSettings } from '../../policy/host-settings.ts'
import type { Direction, FailsafePort } from '../../policy/model.ts'
import type { FelixConfigurationSpec } from '../../resources/kinds/felix-configuration.ts'
import { protocolName, protocolNumber } from '../../resources/protocol.ts'
import { isAnybody } from '../containment.ts'
import { governs, type LintContext, type LintPolicy } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { listOfThings, type Thing } from '../inventory.ts'
import { type Decision, outcomesOf } from '../outcomes.ts'

const lists = [
  { field: 'failsafeInboundHostPorts', direction: 'ingress' },
  { field: 'failsafeOutboundHostPorts', direction: 'egress' },
] as const

const tcp = 6
const udp = 17
const dhcp = [67, 68]
const anyAddress = ['0.0.0.0/0', '::/0', '']

/** DHCP among the failsafe ports with the wrong protocol. */
export const failsafeProtocol: LintRule = {
  id: 'failsafe-protocol',
  severity: 'warning',
  title: 'a failsafe port for DHCP with protocol TCP',
  why: 'DHCP runs over UDP. A failsafe port of the wrong protocol opens nothing that is needed: the node loses its address when the lease ends.',
  remedy: 'Write protocol: udp (tcp is what an absent protocol means).',
  check({ resources }, report) {
    for (const subject of resources) {
      for (const { field } of lists) {
        for (const [index, { protocol = 'tcp', port }] of (felixSpec(subject)?.[field] ?? []).entries()) {
          if (!dhcp.includes(port) || protocolNumber(protocol) !== tcp) continue
          report(subject, ['spec', field, index], `${field} lists DHCP (${port}) as TCP`)
        }
      }
    }
  },
}

/** Lists of failsafe ports that were meant to add to the defaults, and replace them. */
export const failsafeDefaultsLost: LintRule = {
  id: 'failsafe-defaults-lost',
  severity: 'warning',
  title: 'a list of failsafe ports without those that are there by default',
  why: 'The list replaces the defaults as a whole. With a host endpoint policy in force, a control plane can lose its API server, etcd or BGP sessions.',
  remedy: 'Repeat the defaults that are still needed. To close one on purpose, leave out that one alone.',
  check({ resources }, report) {
    const defaults = createHostSettings()
    for (const subject of resources) {
      for (const { field, direction } of lists) {
        const given = felixSpec(subject)?.[field]
        if (given === undefined) continue
        const listed = given.map(({ protocol = 'tcp', port }) => `${protocolNumber(protocol)} ${port}`)
        const isListed = ({ protocol, port }: FailsafePort) =>
          listed.includes(`${protocol} ${port}`) || (dhcp.includes(port) && listed.includes(`${tcp} ${port}`))
        const lost = defaults.failsafes(direction, '').filter((port) => !isListed(port))
        // To leave SSH to policy is why most people touch the list.
        if (lost.every(({ protocol, port }) => protocol === tcp && port === 22)) continue
        report(subject, ['spec', field], `${field} drops the defaults ${lost.map(sayPort).join(', ')}`)
      }
    }
  },
}

const sayPort = ({ protocol, port }: { protocol: number; port: number }) => `${protocolName(protocol)} ${port}`

function felixSpec({ resource }: { resource: { kind: string; spec?: unknown } }): FelixConfigurationSpec | null {
  return resource.kind === 'FelixConfiguration' ? ((resource.spec ?? {}) as FelixConfigurationSpec) : null
}

/** Without these a node cannot be reached or run. */
const vital: readonly {
  readonly direction: Direction
  readonly protocol: number
  readonly port: number
  readonly what: string
}[] = [
  { direction: 'ingress', protocol: tcp, port: 22, what: 'SSH (tcp 22)' },
  { direction: 'ingress', protocol: tcp, port: 6443, what: 'API server (tcp 6443)' },
  { direction: 'ingress', protocol: tcp, port: 10250, what: 'kubelet (tcp 10250)' },
  { direction: 'egress', protocol: tcp, port: 6443, what: 'API server (tcp 6443)' },
  { direction: 'egress', protocol: udp, port: 53, what: 'DNS (udp 53)' },
]

/** Policies that leave nobody a way to a node. */
export const nodeLockedOut: LintRule = {
  id: 'node-locked-out',
  severity: 'error',
  title: 'a host endpoint policy that cuts a node off',
  why: 'Once a policy selects a host endpoint, or it has no profile that allows, all that no rule and no failsafe port lets through is dropped, for every source: the node can no longer be managed, and kubectl logs and exec fail without the kubelet.',
  remedy:
    'Allow the port from where it is needed, or list it among the failsafe ports. Try it as a staged policy first.',
  check(context, report) {
    const settings = settingsOf(context)
    for (const direction of ['ingress', 'egress'] as const) {
      const closed = new Map<
        string,
        { readonly by: Decision; readonly what: Set<string>; readonly hosts: Set<Thing> }
      >()
      for (const host of hostsOf(context)) {
        for (const { protocol, port, what } of vital.filter((each) => each.direction === direction)) {
          if (isFailsafe(settings.failsafes(direction, host.endpoint?.node ?? ''), protocol, port)) continue
          const { allow, deny } = outcomesOf(context, host, direction, { protocol, port, peer: null })
          const [by] = deny
          if (allow.length > 0 || by === undefined) continue
          const key = by.policy === null ? host.key : `${by.policy.title} ${by.rule}`
          const had = closed.get(key) ?? { by, what: new Set<string>(), hosts: new Set<Thing>() }
          had.what.add(what)
          had.hosts.add(host)
          closed.set(key, had)
        }
      }
      for (const { by, what, hosts } of closed.values()) {
        const where = direction === 'ingress' ? 'reaches' : 'leaves'
        const message = `nothing ${where} ${listOfThings([...hosts])} for ${[...what].join(', ')}`
        const special = [...what].every((each) => each.startsWith('kubelet')) ? { severity: 'warning' as const } : {}
        if (by.policy === null) {
          const [host] = hosts
          const subject = context.resources.find(
            ({ resource }) => resource.kind === 'HostEndpoint' && resource.metadata.name === host?.name,
          )
          if (subject !== undefined)
            report(subject, ['spec'], `${message}: no policy and no profile allows it`, special)
        } else {
          const at = by.rule < 0 ? ['spec'] : ['spec', direction, by.rule]
          report(by.policy.subject, at, `${message}: ${by.policy.title} denies it`, special)
        }
      }
    }
  },
}

/** Policies for hosts that allow somebody a port which is open to everybody anyway. */
export const hostOpen: LintRule = {
  id: 'host-open',
  severity: 'warning',
  title: 'a host endpoint policy that restricts nothing',
  why: 'A rule that allows some sources restricts the others only when something denies them. Here what it does not match goes on to the next tiers and to the profile of the host endpoint, which allows it, or the port is a failsafe port, which no policy closes.',
  remedy:
    'Add a Deny for the port after the rule, or leave host endpoints out of the Pass policies of the tier; and take the port off the failsafe list.',
  check(context, report) {
    const settings = settingsOf(context)
    for (const policy of context.policies) {
      if (!governs(policy, 'ingress') || !selectsHostsOnly(policy)) continue
      for (const rule of policy.flat.rules.ingress) {
        if (rule.action !== 'allow' || rule.protocol === null || isAnybody(rule.source)) continue
        const { protocol } = rule
        const ports = rule.destination.ports.ranges.filter(({ first, last }) => first === last)
        for (const { first: port } of ports) {
          const open = policy.endpoints.filter((host) => isOpen(context, settings, host, { protocol, port }))
          if (open.length === 0) continue
          const safe = open.some((host) =>
            isFailsafe(settings.failsafes('ingress', host.endpoint?.node ?? ''), protocol, port),
          )
          const why = safe ? 'it is a failsafe port' : 'what the rule does not match is allowed further on'
          const message = `everyone can reach ${sayPort({ protocol, port })} of ${listOfThings(open)}, not only those that rule ${rule.index} of ${policy.title} allows: ${why}`
          report(policy.subject, ['spec', 'ingress', rule.index], message)
        }
      }
    }
  },
}

/** Pre-DNAT policies that only allow. */
export const preDnatWithoutDeny: LintRule = {
  id: 'pre-dnat-without-deny',
  severity: 'warning',
  title: 'a preDNAT policy without a Deny',
  why: 'Policy before DNAT has no default: what no rule denies goes on, so node ports stay open to everybody.',
  remedy: 'End the policy with a Deny for the same ports, or add a preDNAT policy of a higher order that denies.',
  check({ policies }, report) {
    const all = policies.filter(({ flat }) => flat.preDnat && !flat.staged)
    const denies = ({ flat }: LintPolicy) => flat.rules.ingress.some(({ action }) => action === 'deny')
    if (all.some(denies)) return
    for (const policy of all) {
      if (!policy.flat.rules.ingress.some(({ action }) => action === 'allow')) continue
      report(policy.subject, ['spec', 'ingress'], `${policy.title} denies nothing, nor does another preDNAT policy`)
    }
  },
}

const hostsOf = ({ inventory }: LintContext) => inventory.endpoints.filter(({ kind }) => kind === 'hep')

const selectsHostsOnly = ({ endpoints }: LintPolicy) =>
  endpoints.length > 0 && endpoints.every(({ kind }) => kind === 'hep')

type Settings = ReturnType<typeof createHostSettings>

function settingsOf({ resources }: LintContext): Settings {
  const settings = createHostSettings()
  for (const { resource } of resources) settings.put(resource)
  return settings
}

function isOpen(
  context: LintContext,
  settings: Settings,
  host: Thing,
  { protocol, port }: { readonly protocol: number; readonly port: number },
): boolean {
  if (isFailsafe(settings.failsafes('ingress', host.endpoint?.node ?? ''), protocol, port)) return true
  return outcomesOf(context, host, 'ingress', { protocol, port, peer: null }).deny.length === 0
}

function isFailsafe(list: readonly FailsafePort[], protocol: number, port: number): boolean {
  return list.some((each) => each.protocol === protocol && each.port === port && anyAddress.includes(each.net))
}
