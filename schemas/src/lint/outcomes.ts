import type { FlatEntity, FlatRule, Ports } from '../policy/flat-policy.ts'
import type { Direction, Stage } from '../policy/model.ts'
import { governs, type LintContext, type LintPolicy, peerSide } from './context.ts'
import type { Thing } from './inventory.ts'

/** A connection of which only some is known: null is "any". */
export interface Probe {
  readonly protocol: number | null
  /** Destination port. */
  readonly port: number | null
  /** Who is at the other end. */
  readonly peer: Thing | null
}

/** Any connection at all. */
export const anyProbe: Probe = { protocol: null, port: null, peer: null }

/** Who decides about a connection: a rule of a policy (-1: the end of its tier), or no policy. */
export interface Decision {
  readonly policy: LintPolicy | null
  readonly rule: number
}

/** Everything that policy may decide about a probe. What is not listed is impossible; what is may need a connection that cannot be. */
export interface Outcomes {
  readonly allow: readonly Decision[]
  readonly deny: readonly Decision[]
}

interface Walk {
  readonly endpoint: Thing
  readonly direction: Direction
  readonly probe: Probe
  readonly allow: Decision[]
  readonly deny: Decision[]
}

/** What becomes of connections of an endpoint in a direction, through all stages, tiers and profiles. */
export function outcomesOf(context: LintContext, endpoint: Thing, direction: Direction, probe: Probe): Outcomes {
  const walk: Walk = { endpoint, direction, probe, allow: [], deny: [] }
  for (const stage of stagesOf(endpoint, direction)) {
    for (const { policies, endsInDeny } of context.tiers) {
      const scope = policies.filter(
        (policy) => governs(policy, direction) && actsIn(policy, stage) && policy.selects(endpoint),
      )
      if (scope.length > 0 && !leaves(scope, stage === 'normal' && endsInDeny, walk)) return walk
    }
  }
  for (const name of endpoint.profiles) {
    // A Pass in a profile leaves that profile only.
    const { settled, passed } = endOf(context.inventory.profile(name)?.[direction] ?? [], null, walk)
    if (settled && !passed) return walk
  }
  walk.deny.push({ policy: null, rule: -1 })
  return walk
}

/** Walks through the policies of a tier; true when some connections go on to the next. */
function leaves(policies: readonly LintPolicy[], endsInDeny: boolean, walk: Walk): boolean {
  let passed = false
  for (const policy of policies) {
    const end = endOf(policy.flat.rules[walk.direction], policy, walk)
    passed ||= end.passed
    if (end.settled) return passed
  }
  // The end of a tier denies in the name of all its policies: the one without rules is the default deny among them.
  const closing = policies.find(({ flat }) => flat.rules[walk.direction].length === 0) ?? policies.at(-1) ?? null
  if (endsInDeny) walk.deny.push({ policy: closing, rule: -1 })
  return passed || !endsInDeny
}

/** Notes what rules may decide: whether every connection that reaches them ends there, and whether some are passed on. */
function endOf(
  rules: readonly FlatRule[],
  policy: LintPolicy | null,
  walk: Walk,
): { readonly settled: boolean; readonly passed: boolean } {
  let passed = false
  for (const rule of rules) {
    const answer = rule.action === 'log' ? 'no' : answerOf(rule, walk)
    if (answer === 'no') continue
    if (rule.action === 'pass') passed = true
    if (rule.action === 'allow') walk.allow.push({ policy, rule: rule.index })
    if (rule.action === 'deny') walk.deny.push({ policy, rule: rule.index })
    if (answer === 'yes') return { settled: true, passed }
  }
  return { settled: false, passed }
}

function stagesOf({ kind }: Thing, direction: Direction): readonly Stage[] {
  if (kind === 'wep') return ['normal']
  return direction === 'ingress' ? ['untracked', 'pre-dnat', 'normal'] : ['untracked', 'normal']
}

function actsIn({ flat }: LintPolicy, stage: Stage): boolean {
  if (stage === 'untracked') return flat.doNotTrack
  return stage === 'pre-dnat' ? flat.preDnat : !flat.doNotTrack && !flat.preDnat
}

type Answer = 'yes' | 'maybe' | 'no'

/** Whether a rule matches a probe: surely, perhaps or never. */
function answerOf(rule: FlatRule, { endpoint, direction, probe }: Omit<Walk, 'allow' | 'deny'>): Answer {
  const peer = peerSide[direction]
  const own = peer === 'source' ? 'destination' : 'source'
  return all(
    rule.ipVersion === null && rule.http === null ? 'yes' : 'maybe',
    answerOfProtocol(rule, probe),
    answerOfIcmp(rule, probe),
    answerOfEntity(rule[peer], probe.peer),
    answerOfEntity(rule[own], endpoint),
    answerOfPorts(rule.destination, probe.port),
    isAnyPort(rule.source) ? 'yes' : 'maybe',
  )
}

const all = (...answers: readonly Answer[]): Answer =>
  answers.includes('no') ? 'no' : answers.includes('maybe') ? 'maybe' : 'yes'

function answerOfProtocol({ protocol, notProtocol }: FlatRule, probe: Probe): Answer {
  if (protocol === null && notProtocol === null) return 'yes'
  if (probe.protocol === null) return 'maybe'
  return (protocol === null || protocol === probe.protocol) && notProtocol !== probe.protocol ? 'yes' : 'no'
}

function answerOfIcmp({ icmp, notIcmp }: FlatRule, { protocol }: Probe): Answer {
  if (icmp === null && notIcmp === null) return 'yes'
  if (protocol === null || protocol === 1 || protocol === 58) return 'maybe'
  return icmp === null ? 'yes' : 'no'
}

function answerOfEntity(entity: FlatEntity, thing: Thing | null): Answer {
  const { selector, notSelector, nets, notNets, service, domains } = entity
  const byAddress = nets.length + notNets.length + domains.length > 0 || service !== null
  const answers: Answer[] = [byAddress ? 'maybe' : 'yes']
  if (selector !== null) answers.push(thing === null ? 'maybe' : selector.matches(thing.merged) ? 'yes' : 'no')
  if (notSelector !== null) answers.push(thing === null ? 'maybe' : notSelector.matches(thing.merged) ? 'no' : 'yes')
  return all(...answers)
}

const isEmpty = ({ ranges, names }: Ports) => ranges.length + names.length === 0
const isAnyPort = ({ ports, notPorts }: FlatEntity) => isEmpty(ports) && isEmpty(notPorts)

function answerOfPorts(entity: FlatEntity, port: number | null): Answer {
  if (isAnyPort(entity)) return 'yes'
  if (port === null) return 'maybe'
  const holds = ({ ranges }: Ports) => ranges.some(({ first, last }) => port >= first && port <= last)
  const { ports, notPorts } = entity
  const included: Answer = isEmpty(ports) || holds(ports) ? 'yes' : ports.names.length > 0 ? 'maybe' : 'no'
  const excluded: Answer = holds(notPorts) ? 'no' : notPorts.names.length > 0 ? 'maybe' : 'yes'
  return all(included, excluded)
}
