import { parseTrace, placeOf } from '@margay/schemas'
import pc from 'picocolors'

/** A flow as the API sends it: the members that a line needs. */
export interface ShownFlow {
  readonly end_time: string | number
  readonly action: 'allow' | 'deny'
  readonly reporter: string
  readonly proto: string
  readonly source_namespace: string
  readonly source_name: string
  readonly source_name_aggr: string
  readonly dest_namespace: string
  readonly dest_name: string
  readonly dest_name_aggr: string
  readonly dest_port: number | null
  readonly num_flows: number | string
  readonly enforced_policies: readonly string[]
  readonly simulated?: boolean
}

/** One flow on one line: `13:02:11 shop/cart → pay/ledger:5432 TCP DENY security.default-deny#3 ×41`. */
export function flowLine(flow: ShownFlow, colour: boolean): string {
  const paint = colour ? pc : pc.createColors(false)
  const time = new Date(flow.end_time).toISOString()
  const verdict = flow.action === 'deny' ? paint.red('DENY ') : paint.green('ALLOW')
  const source = placeOf(flow.source_namespace, flow.source_name, flow.source_name_aggr)
  const target = placeOf(flow.dest_namespace, flow.dest_name, flow.dest_name_aggr)
  const port = flow.dest_port === null ? '' : `:${flow.dest_port}`
  return [
    paint.dim(colour ? time.slice(11, 19) : time),
    `${source} → ${target}${port}`,
    flow.proto.toUpperCase(),
    verdict,
    decidingRule(flow.enforced_policies),
    paint.dim(`×${flow.num_flows} ${flow.reporter}${flow.simulated ? ' simulated' : ''}`),
  ].join(' ')
}

/** The rule that gave the verdict: `policy#rule`, `tier (default)` at the end of a tier, or the profile. */
function decidingRule(trace: readonly string[]): string {
  const entries = trace.map(parseTrace).sort((a, b) => a.index - b.index)
  const last = entries.at(-1)
  if (last === undefined) return '-'
  const namespace = last.ref.namespace === null ? '' : `${last.ref.namespace}/`
  return last.ruleIndex < 0 ? `end of tier ${last.ref.tier}` : `${namespace}${last.ref.name}#${last.ruleIndex}`
}
