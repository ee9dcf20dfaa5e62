import { cidrContains, parseCidr } from './ip.ts'
import type {
  Direction,
  Endpoint,
  Evaluation,
  Judgement,
  Packet,
  Policy,
  PolicyModel,
  PolicyRef,
  Rule,
  Stage,
  TraceEntry,
  Verdict,
} from './model.ts'
import { matchRule, type ReadPacket, readPacket } from './rule-match.ts'
import { noMatch, profileTier } from './trace.ts'

type Mode = 'enforced' | 'pending'

/** A decision that policy has no part in, such as that of a pod talking to itself. */
const outsidePolicy = (verdict: Verdict): Judgement => ({ verdict, trace: [] })

/**
 * Judges the first packet of a connection by the source's egress and the destination's ingress policy (spec 5.4). A judgement with an
 * empty trace was not made by policy: traffic within a pod, from a host to its own pods, to failsafe ports. Forwarding through host
 * endpoints is not judged, since the way a packet takes is not in it.
 */
export function evaluate(model: PolicyModel, packet: Packet): Evaluation {
  const read = readPacket(packet)
  const source = model.endpointByIp(read.source.ip)
  const destination = model.endpointByIp(read.destination.ip)
  const egress = (mode: Mode) => source && judgeEgress(model, source, destination, read, mode)
  const ingress = (mode: Mode) => destination && judgeIngress(model, source, destination, read, mode)
  const enforced = { egress: egress('enforced'), ingress: ingress('enforced') }
  const denied = enforced.egress?.verdict === 'deny' || enforced.ingress?.verdict === 'deny'
  const transit = { egress: null, ingress: null }
  return {
    verdict: denied ? 'deny' : 'allow',
    ...enforced,
    transit,
    pending: {
      transit,
      egress: source && hasPreview(model, source, 'egress') ? egress('pending') : enforced.egress,
      ingress: destination && hasPreview(model, destination, 'ingress') ? ingress('pending') : enforced.ingress,
    },
  }
}

/** True when staged policies have a say about an endpoint; most of the time the pending judgement is the enforced one. */
function hasPreview(model: PolicyModel, endpoint: Endpoint, direction: Direction): boolean {
  return stagesOf(endpoint, direction).some((stage) =>
    model
      .governing(endpoint, direction, stage)
      .some(({ policies }) => policies.some((policy) => policy.staged || model.replaced(policy))),
  )
}

/** The stages at which policy acts on the first packet of a connection, in order. */
function stagesOf({ kind }: Endpoint, direction: Direction): readonly Stage[] {
  if (kind === 'wep') return ['normal']
  return direction === 'ingress' ? ['untracked', 'pre-dnat', 'normal'] : ['untracked', 'normal']
}

function judgeEgress(
  model: PolicyModel,
  source: Endpoint,
  destination: Endpoint | null,
  packet: ReadPacket,
  mode: Mode,
): Judgement {
  if (source.key === destination?.key) return outsidePolicy('allow')
  if (source.kind === 'hep' && destination?.kind === 'wep' && source.node === destination.node)
    return outsidePolicy('allow')
  return judge(model, source, 'egress', packet, mode)
}

function judgeIngress(
  model: PolicyModel,
  source: Endpoint | null,
  destination: Endpoint,
  packet: ReadPacket,
  mode: Mode,
): Judgement {
  if (source?.key === destination.key) return outsidePolicy('allow')
  if (destination.kind === 'wep') {
    const fromOwnHost = source?.kind !== 'wep' && model.nodeOf(packet.source.ip) === destination.node
    if (fromOwnHost) return outsidePolicy('allow')
  } else if (source?.kind === 'wep' && source.node === destination.node) {
    const action = model.endpointToHostAction(destination.node)
    if (action !== 'return') return outsidePolicy(action === 'accept' ? 'allow' : 'deny')
  }
  return judge(model, destination, 'ingress', packet, mode)
}

/** Judges one end of a packet: stages of a host endpoint, then tiers, then profiles. */
function judge(
  model: PolicyModel,
  endpoint: Endpoint,
  direction: Direction,
  packet: ReadPacket,
  mode: Mode,
): Judgement {
  const trace: TraceEntry[] = []
  if (endpoint.kind === 'hep' && isFailsafe(model, endpoint.node, direction, packet)) return outsidePolicy('allow')
  for (const stage of stagesOf(endpoint, direction)) {
    const verdict = walkTiers(model, endpoint, direction, packet, { mode, stage, trace })
    if (verdict !== null) return { verdict, trace }
  }
  return { verdict: walkProfiles(model, endpoint, direction, packet, trace), trace }
}

interface Walk {
  readonly mode: Mode
  readonly stage: Stage
  readonly trace: TraceEntry[]
}

function walkTiers(
  model: PolicyModel,
  endpoint: Endpoint,
  direction: Direction,
  packet: ReadPacket,
  walk: Walk,
): Verdict | null {
  const { mode, stage, trace } = walk
  const counts = (policy: Policy) => (mode === 'enforced' ? !policy.staged : policy.staged || !model.replaced(policy))
  tiers: for (const { tier, policies } of model.governing(endpoint, direction, stage)) {
    const scope = policies.filter(counts)
    for (const policy of scope) {
      const rule = firstDecisive(model, policy[direction], packet)
      if (rule === null) continue
      const action = rule.action as TraceEntry['action']
      trace.push({ index: trace.length, ref: policy.ref, staged: policy.staged, action, ruleIndex: rule.index })
      if (action === 'pass') continue tiers
      return action
    }
    // Nobody in the tier decided: its default acts, in the name of the last policy that selects the endpoint.
    const last = scope.at(-1)
    if (last === undefined || stage === 'untracked' || stage === 'pre-dnat') continue
    trace.push({ index: trace.length, ref: last.ref, staged: last.staged, action: tier.defaultAction, ruleIndex: -1 })
    if (tier.defaultAction === 'deny') return 'deny'
  }
  return null
}

function walkProfiles(
  model: PolicyModel,
  endpoint: Endpoint,
  direction: Direction,
  packet: ReadPacket,
  trace: TraceEntry[],
): Verdict {
  for (const name of endpoint.profiles) {
    const rule = firstDecisive(model, model.profile(name)?.[direction] ?? [], packet)
    // A Pass in a profile leaves that profile.
    if (rule === null || (rule.action !== 'allow' && rule.action !== 'deny')) continue
    trace.push({
      index: trace.length,
      ref: profileRef(name),
      staged: false,
      action: rule.action,
      ruleIndex: rule.index,
    })
    return rule.action
  }
  trace.push({ index: trace.length, ref: profileRef(noMatch), staged: false, action: 'deny', ruleIndex: -1 })
  return 'deny'
}

const profileRef = (name: string): PolicyRef => ({ kind: 'profile', tier: profileTier, namespace: null, name })

/** The first rule that matches and decides; Log only writes a line. */
function firstDecisive(model: PolicyModel, rules: readonly Rule[], packet: ReadPacket): Rule | null {
  return rules.find((rule) => rule.action !== 'log' && matchRule(model, rule, packet)) ?? null
}

function isFailsafe(
  model: PolicyModel,
  node: string,
  direction: Direction,
  { packet, source, destination }: ReadPacket,
): boolean {
  const other = direction === 'ingress' ? source : destination
  return model.failsafes(direction, node).some(({ protocol, port, net }) => {
    if (protocol !== packet.protocol || port !== packet.destinationPort) return false
    const cidr = parseCidr(net)
    if (cidr === null || other.address === null) return false
    // The default 0.0.0.0/0 stands for every address of both families.
    return cidr.prefix === 0 || cidrContains(cidr, other.address)
  })
}
