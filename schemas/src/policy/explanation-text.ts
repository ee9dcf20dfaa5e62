import { protocolName } from '../resources/protocol.ts'
import type { Explanation, NearPolicy, RuleExplanation, StationExplanation, TierExplanation } from './explain.ts'
import type { Endpoint, Exemption, Judgement, Packet, TraceEntry } from './model.ts'
import { noMatch, printPolicy, profileTier } from './trace.ts'

/** Why policy was not asked, in words. */
const exemptions: Readonly<Record<Exemption, string>> = {
  self: 'it talks to itself',
  'own-host': 'a node may always talk to its own workloads',
  'endpoint-to-host': 'the setting defaultEndpointToHostAction of the node',
  failsafe: 'a failsafe port',
  'neighbour-discovery': 'neighbour discovery of IPv6',
  tunnel: 'workloads of the node may not send tunnels',
}

const parts: Readonly<Record<StationExplanation['part'], string>> = {
  egress: 'egress of',
  ingress: 'ingress of',
  transitEgress: 'on the way, by host endpoint',
  transitIngress: 'on arrival, by host endpoint',
}

/** Writes an explanation as plain text, a few lines for each place that policy was asked at. */
export function formatExplanation({ packet, verdict, stations }: Explanation): string {
  const lines = [`${verdict.toUpperCase()} ${packetText(packet)}`, ...stations.flatMap(stationLines)]
  if (stations.length === 0) lines.push('  neither end is subject to policy')
  return lines.join('\n')
}

function packetText(packet: Packet): string {
  const { protocol, sourceIp, destinationIp, destinationPort, addressed, icmp, domains = [], http } = packet
  const port = (ip: string, number: number | null) =>
    number === null ? ip : ip.includes(':') ? `[${ip}]:${number}` : `${ip}:${number}`
  return [
    protocolName(protocol),
    ...(icmp === undefined ? [] : [`type ${icmp.type} code ${icmp.code}`]),
    `${sourceIp} -> ${port(destinationIp, destinationPort)}`,
    ...(addressed === undefined ? [] : [`(addressed ${port(addressed.ip, addressed.port)})`]),
    ...(domains.length === 0 ? [] : [`(${domains.join(', ')})`]),
    ...(http === undefined ? [] : [`${http.method} ${http.path}`]),
  ].join(' ')
}

function stationLines({ part, endpoint, direction, judgement, pending, ...rest }: StationExplanation): string[] {
  const place = `${parts[part]} ${endpoint === null ? 'the node' : nameOf(endpoint)}`
  const toward = part.startsWith('transit') ? ` (${direction})` : ''
  const { tiers, rules, nearly } = rest
  // Of what came after the decision, only what would have turned it.
  const turns = ({ action }: RuleExplanation) =>
    action !== judgement?.verdict && (action === 'allow' || action === 'deny')
  const isShown = (rule: RuleExplanation) =>
    rule.position === 'after' ? turns(rule) && rule.failed.length <= 1 : rule.isClose
  return [
    `${place}${toward}: ${judgementText(judgement)}`,
    ...tiers.map(tierLine),
    ...endLine(judgement),
    ...section('came close', rules.filter(isShown).map(ruleLine)),
    ...section('nearly selected it', nearly.map(nearLine)),
    ...pendingLines(judgement, pending),
  ]
}

const nameOf = ({ namespace, name }: Endpoint) => (namespace === null ? name : `${namespace}/${name}`)

function judgementText(judgement: Judgement | null): string {
  if (judgement === null) return 'ALLOW, no policy has a say'
  const { verdict, exempt } = judgement
  return `${verdict.toUpperCase()}${exempt === undefined ? '' : `, policy is not asked: ${exemptions[exempt]}`}`
}

function tierLine({ stage, tier, outcome, hit }: TierExplanation): string {
  const name = `  tier ${tier}${stage === 'normal' ? '' : ` (${stage})`}: `
  if (hit !== null) return name + hitText(hit)
  return name + (outcome === 'not-reached' ? 'not reached' : 'no rule matches')
}

/** What decided after all tiers: a profile, or that none did. */
function endLine(judgement: Judgement | null): string[] {
  const last = judgement?.trace.at(-1)
  return last?.ref.tier === profileTier ? [`  ${hitText(last)}`] : []
}

function hitText({ ref, staged, action, ruleIndex }: TraceEntry): string {
  if (ref.tier === profileTier)
    return ref.name === noMatch ? `${action}, nothing allows it` : `${action} by profile ${ref.name}`
  const policy = printPolicy(ref, staged)
  if (ruleIndex >= 0) return `${action} by ${policy} rule ${ruleIndex}`
  return `${action} at its end, no rule matches (${policy} is the last policy)`
}

function ruleLine({ ref, ruleIndex, action, position, failed }: RuleExplanation): string {
  const reason = failed[0]?.text ?? 'it matches, but was not asked'
  return `${printPolicy(ref, false)} rule ${ruleIndex} (${action}${position === 'after' ? ', after the decision' : ''}): ${reason}`
}

const nearLine = ({ ref, staged, text }: NearPolicy) => `${printPolicy(ref, staged)}: ${text}`

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`  ${title}:`, ...lines.map((line) => `    ${line}`)]

function pendingLines(judgement: Judgement | null, pending: Judgement | null): string[] {
  if (JSON.stringify(pending) === JSON.stringify(judgement)) return []
  const steps = (pending?.trace ?? []).map((entry) => `    ${hitText(entry)}`)
  return [`  with staged policies: ${judgementText(pending)}`, ...steps]
}
