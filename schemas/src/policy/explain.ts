import { type FailedCriterion, failedCriteria } from './criteria.ts'
import { judgeAll } from './evaluate.ts'
import { actsIn } from './governance.ts'
import type {
  Action,
  Direction,
  Endpoint,
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
import { type ReadPacket, readPacket } from './read-packet.ts'
import { scopeOf } from './scope.ts'
import { nearMiss, printFault, type SelectorFault } from './selector/near-miss.ts'
import { parseSelector } from './selector/selector.ts'
import { type Station, stationsOf } from './stations.ts'
import { judgeStation } from './walk.ts'

/** Why a packet is allowed or denied, and what it would have taken. */
export interface Explanation {
  readonly packet: Packet
  readonly verdict: Verdict
  /** Each asking of policy, in the order in which the packet meets it. */
  readonly stations: readonly StationExplanation[]
}

/** One asking of policy: of the source, of the destination, or of a host endpoint on the way. */
export interface StationExplanation {
  readonly part: Station['part']
  /** Null for a node that decides by its settings alone. */
  readonly endpoint: Endpoint | null
  readonly direction: Direction
  /** Null when nobody had a say about a packet that is forwarded. */
  readonly judgement: Judgement | null
  /** The same with staged policies as if enforced. */
  readonly pending: Judgement | null
  /** The tiers that govern the endpoint, in order. */
  readonly tiers: readonly TierExplanation[]
  /** Every rule of the policies that govern, in order. */
  readonly rules: readonly RuleExplanation[]
  /** Policies of the direction that nearly select the endpoint. */
  readonly nearly: readonly NearPolicy[]
}

/** What became of a packet in a tier. */
export interface TierExplanation {
  readonly stage: Stage
  readonly tier: string
  /** `none`: no rule matched in a stage that knows no end of a tier. `not-reached`: it was decided before. */
  readonly outcome: 'allow' | 'deny' | 'pass' | 'none' | 'not-reached'
  /** The hit that made it so: a rule, or the end of the tier (rule -1). */
  readonly hit: TraceEntry | null
}

/** A rule, and why it did not match. */
export interface RuleExplanation {
  readonly stage: Stage
  readonly ref: PolicyRef
  readonly ruleIndex: number
  readonly action: Action
  /** Whether it stands before what decided in its stage and tiers, is it, or comes after, so that it was not asked. */
  readonly position: 'before' | 'decided' | 'after'
  /** Empty when it matches. Of a rule that stands for several (peers, protocols), those of the nearest. */
  readonly failed: readonly FailedCriterion[]
  /** True when a single criterion kept it from matching. */
  readonly isClose: boolean
}

/** A policy that would govern the endpoint but for one label. */
export interface NearPolicy {
  readonly ref: PolicyRef
  readonly staged: boolean
  readonly fault: SelectorFault
  /** The fault in words. */
  readonly text: string
}

/** Explains the verdict on a packet, direction by direction. It looks at every policy: meant for people, not for streams. */
export function explain(model: PolicyModel, packet: Packet): Explanation {
  const stations = stationsOf(model, readPacket(packet))
  const { egress, ingress, transit } = judgeAll(model, stations, 'enforced')
  const isDenied = [egress, ingress, transit.egress, transit.ingress].some((one) => one?.verdict === 'deny')
  return {
    packet,
    verdict: isDenied ? 'deny' : 'allow',
    stations: stations.map((station) => explainStation(model, station)),
  }
}

function explainStation(model: PolicyModel, station: Station): StationExplanation {
  const { part, endpoint, direction, exempt } = station
  const judgement = judgeStation(model, station, 'enforced')
  const pending = judgeStation(model, station, 'pending')
  const common = { part, endpoint, direction, judgement, pending }
  if (endpoint === null || exempt !== null || judgement?.exempt !== undefined)
    return { ...common, tiers: [], rules: [], nearly: [] }
  const { tiers, rules } = walk(model, station, endpoint, judgement?.trace ?? [])
  return { ...common, tiers, rules, nearly: nearPolicies(model, station, endpoint) }
}

/** Goes along the trace of a judgement, tier by tier, and looks at every rule on the way and beyond. */
function walk(model: PolicyModel, station: Station, endpoint: Endpoint, trace: readonly TraceEntry[]) {
  const { direction, stages, early, late } = station
  const tiers: TierExplanation[] = []
  const rules: RuleExplanation[] = []
  let next = 0
  let isDecided = false
  for (const stage of stages) {
    const packet = stage === 'untracked' || stage === 'pre-dnat' ? early : late
    for (const { tier, policies } of scopeOf(model, endpoint, direction, stage).enforced) {
      const entry: TraceEntry | undefined = isDecided ? undefined : trace[next]
      const hit: TraceEntry | null = entry !== undefined && policies.some(({ ref }) => ref === entry.ref) ? entry : null
      tiers.push({ stage, tier: tier.name, outcome: isDecided ? 'not-reached' : (hit?.action ?? 'none'), hit })
      let isAfter = isDecided
      for (const policy of policies) {
        for (const rule of rulesOf(model, policy[direction], packet)) {
          const isHit = hit !== null && policy.ref === hit.ref && rule.ruleIndex === hit.ruleIndex
          const position = isHit ? 'decided' : isAfter ? 'after' : 'before'
          rules.push({ ...rule, stage, ref: policy.ref, position, isClose: rule.failed.length === 1 })
          isAfter ||= isHit
        }
      }
      if (hit === null) continue
      next++
      isDecided ||= hit.action !== 'pass'
    }
  }
  return { tiers, rules }
}

/** The rules as the user wrote them; one that was written as one but is several is told by the nearest of them. */
function rulesOf(model: PolicyModel, rules: readonly Rule[], packet: ReadPacket) {
  const nearest = new Map<number, Pick<RuleExplanation, 'ruleIndex' | 'action' | 'failed'>>()
  for (const rule of rules) {
    const failed = failedCriteria(model, rule, packet)
    const had = nearest.get(rule.index)
    if (had === undefined || failed.length < had.failed.length)
      nearest.set(rule.index, { ruleIndex: rule.index, action: rule.action, failed })
  }
  return nearest.values()
}

function nearPolicies(model: PolicyModel, { direction, stages }: Station, endpoint: Endpoint): NearPolicy[] {
  const acts = (policy: Policy) => stages.some((stage) => actsIn(policy, stage))
  return model
    .tiers()
    .flatMap(({ policies }) => policies)
    .filter((policy) => policy.directions.includes(direction) && acts(policy))
    .flatMap(({ ref, staged, selector }) => {
      const fault = nearMiss(parseSelector(selector), endpoint.labels)
      return fault === null ? [] : [{ ref, staged, fault, text: printFault(fault) }]
    })
}
