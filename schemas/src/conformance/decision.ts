import type { Exemption, Verdict } from '../policy/model.ts'
import { parseTrace } from '../policy/trace.ts'
import type { EndAnswer, EndAnswers } from './policy.ts'

/** The end that settles a connection: `egress` its source, `ingress` its destination, `transit` a host endpoint on the way. */
export type DecidingEnd = 'egress' | 'transit' | 'ingress'

/** What settled a connection. */
export interface Decision {
  readonly verdict: Verdict
  readonly end: DecidingEnd
  /** The hit that decided, in the documented form; null when policy was not asked. */
  readonly hit: string | null
  readonly exempt: Exemption | 'outside' | null
  /** How a connection ended that did not come about although nothing that is known denies it (`timed out`); absent when policy settled it. */
  readonly unanswered?: string
}

/** What settles a connection: the first end that denies; where all allow, the last that policy was asked for. */
export function decisionOf(answer: EndAnswers): Decision {
  const { egress, ingress, transit } = answer
  const ends: readonly (readonly [DecidingEnd, EndAnswer | undefined])[] = [
    ['egress', egress],
    ['transit', transit?.egress],
    ['transit', transit?.ingress],
    ['ingress', ingress],
  ]
  const given = ends.filter((end): end is readonly [DecidingEnd, EndAnswer] => end[1] !== undefined)
  const [end, { verdict, trace, exempt }] =
    given.find(([, said]) => said.verdict === 'deny') ??
    given.findLast(([, said]) => said.exempt === undefined) ??
    given.findLast(([, said]) => said.exempt !== 'outside') ??
    (['egress', egress] as const)
  return { verdict, end, hit: trace.at(-1) ?? null, exempt: exempt ?? null }
}

/** A decision in a few words: `shop/default.web#2`, `end of tier security (security.base)`, `profile kns.shop`, `a failsafe port`. */
export function decisionText({ hit, exempt }: Decision): string {
  if (hit === null) return exempt === null ? 'nothing' : exemptions[exempt]
  const { ref, ruleIndex } = parseTrace(hit)
  const policy = hit.split('|')[2] as string
  if (ref.kind === 'profile') return ruleIndex < 0 ? 'no profile allows it' : `profile ${ref.name}`
  return ruleIndex < 0 ? `end of tier ${ref.tier} (${policy})` : `${policy}#${ruleIndex}`
}

const exemptions: Readonly<Record<Exemption | 'outside', string>> = {
  self: 'it talks to itself',
  'own-host': 'a node may always talk to its own workloads',
  'endpoint-to-host': 'defaultEndpointToHostAction',
  failsafe: 'a failsafe port',
  'neighbour-discovery': 'IPv6 may always look for its neighbours',
  tunnel: 'a workload may not send tunnels',
  outside: 'neither end is subject to policy',
}

/**
 * True when a decision is what somebody named: a policy (`web`, `shop/web`, `shop/default.web`, `default.web`), with `#<rule>` a rule of it
 * (`#-1` the end of its tier), `profile`, or an exemption (`failsafe`, `own-host`, `self`, `endpoint-to-host`, `neighbour-discovery`, `tunnel`, `outside`).
 */
export function isDecidedBy({ hit, exempt }: Decision, by: string): boolean {
  if (hit === null) return exempt === by
  const { ref, ruleIndex } = parseTrace(hit)
  const [name, rule] = by.split('#') as [string, string | undefined]
  if (rule !== undefined && Number(rule) !== ruleIndex) return false
  if (ref.kind === 'profile' && name === 'profile') return true
  const printed = hit.split('|')[2] as string
  const bare = printed.replace(/^[^/|]*\//, '')
  const namespace = ref.namespace === null ? '' : `${ref.namespace}/`
  return [printed, bare, ref.name, `${namespace}${ref.name}`].includes(name)
}
