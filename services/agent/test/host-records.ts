import {
  type Evaluation,
  type FlowEvent,
  formatTrace,
  type Judgement,
  type Packet,
  type PolicyModel,
} from '@margay/schemas'

/** What the evaluator says about a connection, and who knows more. */
interface Expectation {
  readonly packet: Packet
  readonly expected: Evaluation
  /** Policy that is not tracked had the last word: nothing is told. */
  readonly isUntracked: (judgement: Judgement | null) => boolean
  readonly model: PolicyModel
  readonly node: string
}

interface ExpectedRecord {
  readonly reporter: 'src' | 'dst'
  readonly action: 'allow' | 'deny'
  readonly list: 'enforced_policies' | 'transit_policies'
  readonly judgement: Judgement
}

/** Where the flow records of one connection say something else than the evaluator; `compared` counts those that agree. */
export function recordDifferences(
  flows: readonly FlowEvent[],
  expectation: Expectation,
): { differences: object[]; compared: number } {
  const records = expectedRecords(expectation)
  if (records === null) return { differences: [], compared: 0 }
  const differences: object[] = []
  const started = flows.filter(({ num_flows_started, reporter }) => num_flows_started > 0 && reporter !== 'fwd')
  for (const { reporter, action, list, judgement } of records) {
    const found = started.filter((flow) => flow.reporter === reporter)
    const trace = judgement.trace.map(formatTrace)
    const [first] = found
    // On the way, what other host endpoints of the node said before depends on the interface, which a record does not know.
    const compared = (texts: readonly string[]) =>
      list === 'enforced_policies' ? texts : texts.slice(-1).map((text) => text.slice(text.indexOf('|')))
    const told = [first?.action, ...compared(first?.[list] ?? [])]
    if (found.length !== 1 || JSON.stringify(told) !== JSON.stringify([action, ...compared(trace)]))
      differences.push({ what: 'record', reporter, list, action, trace, found: found.map(brief) })
  }
  const { egress, ingress } = expectation.expected
  if (egress?.exempt !== undefined || ingress?.exempt !== undefined) return { differences, compared: records.length }
  const reporters = new Set<string>(records.map(({ reporter }) => reporter))
  const others = started.filter(({ reporter }) => !reporters.has(reporter))
  if (others.length > 0) differences.push({ what: 'unexpected record', found: others.map(brief) })
  return { differences, compared: records.length - differences.length }
}

const brief = ({ reporter, action, dest_ip, dest_port, enforced_policies, transit_policies }: FlowEvent) =>
  JSON.stringify({ reporter, action, dest_ip, dest_port, enforced_policies, transit_policies })

/** The records of the ends at the node, the last stage first; null when a setting decides, which is told late or not at all. */
function expectedRecords({ packet, expected, isUntracked, model, node }: Expectation): ExpectedRecord[] | null {
  const { egress, ingress, transit } = expected
  const isHere = (ip: string) => model.nodeOf(ip) === node
  const isPod = (ip: string) => model.endpointByIp(ip)?.kind === 'wep'
  const [fromPod, toPod] = [isPod(packet.sourceIp), isPod(packet.destinationIp)]
  const toNode = isHere(packet.destinationIp)
  const isDoor = packet.addressed !== undefined
  if (ingress?.exempt === 'endpoint-to-host') return null
  const isToldOf = (judgement: Judgement | null): judgement is Judgement =>
    judgement !== null && judgement.exempt === undefined && !isUntracked(judgement)
  const one = (
    reporter: 'src' | 'dst',
    judgement: Judgement | null,
    list: ExpectedRecord['list'] = 'enforced_policies',
  ): ExpectedRecord[] => (isToldOf(judgement) ? [{ reporter, action: judgement.verdict, list, judgement }] : [])

  const isEarly = (judgement: Judgement | null) => {
    const last = judgement?.trace.at(-1)?.ref.name
    return model.tiers().some(({ policies }) => policies.some(({ ref, preDnat }) => preDnat && ref.name === last))
  }
  for (const denial of [transit.egress, transit.ingress].filter((judgement) => judgement?.verdict === 'deny')) {
    // Before DNAT, what is sent to the node is told as the node's own.
    if (isEarly(denial) && (toNode || isDoor)) return one('dst', denial)
    // Which of the host endpoints of a node that a packet only crosses is not to be seen from addresses.
    if (!fromPod && !toPod) return null
    if (egress?.verdict === 'deny') return null
    // `*` is asked again behind the workload where a packet goes; what came first is known only within the node.
    if (denial === transit.ingress && ingress?.verdict === 'deny') {
      if (!fromPod) return null
      continue
    }
    return one(fromPod ? 'src' : 'dst', denial, 'transit_policies')
  }
  if (egress?.verdict === 'deny') return one('src', egress)
  // An Allow of `*` before DNAT settles what a workload sends to its node.
  if (fromPod && toNode && ingress === null && isEarly(transit.egress))
    return [...one('src', egress), ...one('dst', transit.egress)]
  // Without a connection, nothing tells the first packet from others.
  const isSettled = (judgement: Judgement | null) =>
    isUntracked(judgement) && judgement?.trace.at(-1)?.action === 'allow'
  if ([transit.egress, transit.ingress].some(isSettled) && ingress?.verdict === 'allow') return one('src', egress)
  return [...one('src', egress), ...one('dst', ingress)]
}
