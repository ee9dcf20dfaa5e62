import type { TraceEntry } from '@margay/schemas'
// Not through the index: the page needs no YAML reader and no validators.
import { placeOf } from '@margay/schemas/flows/place'
import { parseTrace } from '@margay/schemas/policy/trace'
import type { Flow } from '../api.ts'

/** The trace of a flow in the order in which the rules were met. */
export function traceOf(policies: readonly string[]): TraceEntry[] {
  return policies.map((text) => parseTrace(text)).sort((a, b) => a.index - b.index)
}

/** One end of a flow, as the eye wants it: what matters, then what only tells copies apart. */
export interface End {
  readonly main: string
  readonly rest: string
}

/**
 * Splits the name of an end: a pod of a Deployment into the workload and the random rest (told by the label
 * pod-template-hash), an outside address into the address and `pub` or `pvt`.
 */
export function endOf(place: string, ip: string | null, type: string, labels: readonly string[]): End {
  if (type === 'net') return ip === null ? { main: place, rest: '' } : { main: ip, rest: ` ${place}` }
  const hash = labels.find((label) => label.startsWith('pod-template-hash='))?.slice('pod-template-hash='.length)
  const cut = hash === undefined ? -1 : place.indexOf(`-${hash}`)
  return cut < 0 ? { main: place, rest: '' } : { main: place.slice(0, cut), rest: place.slice(cut) }
}

export const sourceEnd = (flow: Flow) => endOf(sourceOf(flow), flow.source_ip, flow.source_type, flow.source_labels)
export const destinationEnd = (flow: Flow) => endOf(destinationOf(flow), flow.dest_ip, flow.dest_type, flow.dest_labels)

export const sourceOf = (flow: Flow) => placeOf(flow.source_namespace, flow.source_name, flow.source_name_aggr)
export const destinationOf = (flow: Flow) => placeOf(flow.dest_namespace, flow.dest_name, flow.dest_name_aggr)
export const portOf = (flow: Flow) => (flow.dest_port === null ? '' : `:${flow.dest_port}`)

/** The rule that gave a verdict, in words; `profile` is the tier of what no policy selects. */
export interface Decider {
  readonly policy: string
  readonly rule: string
  readonly tier: string
}

/** Which rule gave the verdict; null when none was recorded. */
export function deciderOf(flow: Flow): Decider | null {
  const last = traceOf(flow.enforced_policies).at(-1)
  if (last === undefined) return null
  const namespace = last.ref.namespace === null ? '' : `${last.ref.namespace}/`
  if (last.ref.tier === '__PROFILE__')
    return { policy: last.ref.name.replace('__PROFILE__.', ''), rule: 'profile', tier: 'profile' }
  if (last.ruleIndex < 0)
    return { policy: `${namespace}${last.ref.name}`, rule: 'no rule matched', tier: last.ref.tier }
  return { policy: `${namespace}${last.ref.name}`, rule: `rule ${last.ruleIndex}`, tier: last.ref.tier }
}

/** One sentence that says what happened and why: the first thing to read of a flow. */
export function sentenceOf(flow: Flow): string {
  const decider = deciderOf(flow)
  const verdict = flow.action === 'deny' ? 'denied' : 'allowed'
  const where = flow.reporter === 'dst' ? 'at the destination (ingress)' : 'at the source (egress)'
  const times = flow.num_flows === 1 ? 'once' : `${flow.num_flows} times`
  const head = `${sourceOf(flow)} → ${destinationOf(flow)}${portOf(flow)} was ${verdict} ${where}`
  if (decider === null) return `${head}, ${times}.`
  if (decider.tier === 'profile') return `${head}: no policy selects it, profile ${decider.policy} applies, ${times}.`
  if (decider.rule === 'no rule matched')
    return `${head} at the end of tier ${decider.tier}: no rule of ${decider.policy} matched, ${times}.`
  return `${head} by ${decider.rule} of ${decider.policy} in tier ${decider.tier}, ${times}.`
}
