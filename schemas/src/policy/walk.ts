import { isDiscovery, isFailsafe, isFailsafeAnswer } from './exemption.ts'
import type {
  Direction,
  Endpoint,
  Judgement,
  PolicyModel,
  PolicyRef,
  Rule,
  Stage,
  TraceEntry,
  Verdict,
} from './model.ts'
import type { ReadPacket } from './read-packet.ts'
import { matchRule } from './rule-match.ts'
import { type Mode, scopeOf } from './scope.ts'
import type { Station } from './stations.ts'
import { noMatch, profileTier } from './trace.ts'

/**
 * Asks the policies of a station: stage by stage, tiers, then profiles where the stage has them. Null when the packet is only forwarded
 * and nobody has a say, which lets it through.
 */
export function judgeStation(model: PolicyModel, station: Station, mode: Mode): Judgement | null {
  const { endpoint, exempt, direction, late } = station
  if (exempt !== null) return { verdict: exempt.verdict, trace: [], exempt: exempt.reason }
  if (endpoint === null) return null
  if (isDiscovery(endpoint, late)) return { verdict: 'allow', trace: [], exempt: 'neighbour-discovery' }
  if (endpoint.kind === 'wep' && direction === 'egress' && isTunnel(model, endpoint, late))
    return { verdict: 'deny', trace: [], exempt: 'tunnel' }
  if (station.settledBy !== null && settles(judgeStation(model, station.settledBy, mode))) return null
  const trace: TraceEntry[] = []
  for (const stage of station.stages) {
    const packet = stage === 'untracked' || stage === 'pre-dnat' ? station.early : late
    if (endpoint.kind === 'hep' && isSpared(model, endpoint, direction, stage, packet)) {
      if (stage === 'normal') return { verdict: 'allow', trace, exempt: 'failsafe' }
      continue
    }
    const verdict = judgeStage(model, { endpoint, direction, stage, mode, packet, trace })
    if (verdict !== null) return { verdict, trace }
  }
  // Only forwarding ends without a verdict: no policy for forwarded traffic has a say, or those that have went before it.
  return trace.length === 0 ? null : { verdict: 'allow', trace }
}

const isTunnel = (model: PolicyModel, { node }: Endpoint, { protocol, destination }: ReadPacket) =>
  model.isTunnel(node, protocol, destination.port)

/** True when a policy allowed, not when none had a say. */
const settles = (judgement: Judgement | null) => judgement?.trace.at(-1)?.action === 'allow'

/** Failsafe ports go before every stage, but never on packets that are not addressed to the node. */
function isSpared(model: PolicyModel, host: Endpoint, direction: Direction, stage: Stage, packet: ReadPacket): boolean {
  if (stage === 'forward') return false
  if (stage !== 'normal' && direction === 'ingress' && !isOwnAddress(model, host.node, packet.destination.ip))
    return false
  if (isFailsafe(model, host.node, direction, packet)) return true
  return stage === 'untracked' && isFailsafeAnswer(model, host.node, direction, packet)
}

const isOwnAddress = (model: PolicyModel, node: string, ip: string) =>
  model.nodeOf(ip) === node || model.endpointByIp(ip)?.kind === 'hep'

interface Asking {
  readonly endpoint: Endpoint
  readonly direction: Direction
  readonly stage: Stage
  readonly mode: Mode
  readonly packet: ReadPacket
  readonly trace: TraceEntry[]
}

/** The verdict of one stage; null when it leaves the packet to the next. */
function judgeStage(model: PolicyModel, asking: Asking): Verdict | null {
  const { endpoint, direction, stage, mode, packet, trace } = asking
  const tiers = scopeOf(model, endpoint, direction, stage)[mode]
  walk: for (const { tier, policies } of tiers) {
    for (const policy of policies) {
      const { ref, staged } = policy
      const rule = firstDecisive(model, direction === 'ingress' ? policy.ingress : policy.egress, packet)
      if (rule === null) continue
      const action = rule.action as TraceEntry['action']
      trace.push({ index: trace.length, ref, staged, action, ruleIndex: rule.index })
      if (action === 'pass') continue walk
      return action
    }
    if (stage === 'untracked' || stage === 'pre-dnat') continue
    // Nobody in the tier decided: its default acts, in the name of the last policy that selects the endpoint.
    const { ref, staged } = policies[policies.length - 1] as (typeof policies)[number]
    trace.push({ index: trace.length, ref, staged, action: tier.defaultAction, ruleIndex: -1 })
    if (tier.defaultAction === 'deny') return 'deny'
  }
  if (stage === 'normal') return judgeProfiles(model, asking)
  // Forwarding needs an Allow once any policy for it selects the host endpoint in this direction (spec 5.7.3).
  return stage === 'forward' && tiers.length > 0 ? nobodyAllowed(trace) : null
}

function judgeProfiles(model: PolicyModel, { endpoint, direction, packet, trace }: Asking): Verdict {
  for (const name of endpoint.profiles) {
    const rules = model.profile(name)?.[direction]
    const rule = rules === undefined ? null : firstDecisive(model, rules, packet)
    // A Pass in a profile leaves that profile.
    if (rule === null || (rule.action !== 'allow' && rule.action !== 'deny')) continue
    const ref = profileRef(name)
    trace.push({ index: trace.length, ref, staged: false, action: rule.action, ruleIndex: rule.index })
    return rule.action
  }
  return nobodyAllowed(trace)
}

function nobodyAllowed(trace: TraceEntry[]): 'deny' {
  trace.push({ index: trace.length, ref: profileRef(noMatch), staged: false, action: 'deny', ruleIndex: -1 })
  return 'deny'
}

const profileRef = (name: string): PolicyRef => ({ kind: 'profile', tier: profileTier, namespace: null, name })

/** The first rule that matches and decides; Log only writes a line. */
function firstDecisive(model: PolicyModel, rules: readonly Rule[], packet: ReadPacket): Rule | null {
  for (const rule of rules) if (rule.action !== 'log' && matchRule(model, rule, packet)) return rule
  return null
}
