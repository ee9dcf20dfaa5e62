import {
  type Action,
  cidrContains,
  type Direction,
  type Endpoint,
  type EntityMatch,
  type Packet,
  type PolicyModel,
  parseAddress,
  parseCidr,
  parseSelector,
  type Rule,
  type Selector,
  type Verdict,
} from '@margay/schemas'

/**
 * The evaluator that one writes first, straight from the description: every policy's selector is tried, every list walked, nothing is
 * remembered between packets but parsed selectors. The measure that the real one is held against; it knows workloads only.
 */
export function createPlainEvaluator(model: PolicyModel): (packet: Packet) => Verdict {
  const endpoints = [...model.endpoints()]
  const selectors = new Map<string, Selector>()
  const selects = (text: string, { labels }: Endpoint) => {
    const selector = selectors.get(text) ?? parseSelector(text)
    selectors.set(text, selector)
    return selector.matches(labels)
  }

  const inNet = (net: string, ip: string) => {
    const cidr = parseCidr(net)
    const address = parseAddress(ip)
    return cidr !== null && address !== null && cidrContains(cidr, address)
  }
  function entityMatches(entity: EntityMatch, ip: string, port: number | null, protocol: number): boolean {
    const has = (id: string, member: string) => model.addressSet(id)?.has(member) === true
    const named = (id: string) => has(id, `${ip},${protocol},${port}`)
    const inRange = ({ first, last }: { first: number; last: number }) => port !== null && port >= first && port <= last
    return (
      entity.sets.every((id) => has(id, ip)) &&
      !entity.notSets.some((id) => has(id, ip)) &&
      (entity.nets.length === 0 || entity.nets.some((net) => inNet(net, ip))) &&
      !entity.notNets.some((net) => inNet(net, ip)) &&
      (entity.ports.length + entity.portSets.length === 0 ||
        entity.ports.some(inRange) ||
        entity.portSets.some(named)) &&
      !entity.notPorts.some(inRange) &&
      !entity.notPortSets.some(named)
    )
  }
  const matches = (rule: Rule, packet: Packet) =>
    (rule.protocol === null || rule.protocol === packet.protocol) &&
    rule.notProtocol !== packet.protocol &&
    entityMatches(rule.source, packet.sourceIp, packet.sourcePort, packet.protocol) &&
    entityMatches(rule.destination, packet.destinationIp, packet.destinationPort, packet.protocol) &&
    (rule.destination.domains.length === 0 || packet.domains !== undefined)
  const decision = (rules: readonly Rule[], packet: Packet): Action | undefined =>
    rules.find((rule) => rule.action !== 'log' && matches(rule, packet))?.action

  function judge(endpoint: Endpoint, direction: Direction, packet: Packet): Verdict {
    tiers: for (const { policies, defaultAction } of model.tiers()) {
      const governing = policies.filter(
        (policy) => !policy.staged && policy.directions.includes(direction) && selects(policy.selector, endpoint),
      )
      for (const policy of governing) {
        const action = decision(policy[direction], packet)
        if (action === 'pass') continue tiers
        if (action === 'allow' || action === 'deny') return action
      }
      if (governing.length > 0 && defaultAction === 'deny') return 'deny'
    }
    for (const name of endpoint.profiles) {
      const action = decision(model.profile(name)?.[direction] ?? [], packet)
      if (action === 'allow' || action === 'deny') return action
    }
    return 'deny'
  }

  return (packet) => {
    const owner = (ip: string) => endpoints.find(({ ips }) => ips.includes(ip))
    const source = owner(packet.sourceIp)
    const destination = owner(packet.destinationIp)
    if (source !== undefined && source === destination) return 'allow'
    if (source !== undefined && judge(source, 'egress', packet) === 'deny') return 'deny'
    return destination !== undefined && judge(destination, 'ingress', packet) === 'deny' ? 'deny' : 'allow'
  }
}
