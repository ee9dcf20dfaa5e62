import {
  type DnsLookup,
  evaluate,
  type FlowUpdate,
  type Judgement,
  type Packet,
  type PolicyModel,
  protocolNumber,
} from '@margay/schemas'
import { lookUp, searchNames, type Zone } from '../dns/zone.ts'
import type { LabPlan, LabPod } from '../manifests/plan.ts'
import type { Caller, Contact, Target } from '../network.ts'
import { lookupOf } from './lookup.ts'
import { exchange, type Traffic, unanswered } from './traffic.ts'

/** Everything that one connection causes: what the caller sees, and what the agents of the nodes at both ends would have seen. */
export interface SimulatedConnection {
  readonly contact: Contact
  readonly flows: readonly { readonly node: string; readonly update: FlowUpdate }[]
  readonly lookups: readonly { readonly node: string; readonly lookup: DnsLookup }[]
}

/** What a simulated connection meets. */
export interface World {
  readonly plan: LabPlan
  readonly zone: Zone
  readonly model: PolicyModel
  /** Names whose answers gave a client an address. */
  names(client: string, ip: string): readonly string[]
  /** Counts connections: spreads over the pods of a service, and gives source ports. */
  turn(): number
}

const firstPort = 32_768
const ports = 28_232

/** Plays one connection through: name lookups, translation, policy on both sides, and whether anybody listens. */
export function simulate(world: World, caller: Caller, target: Target): SimulatedConnection {
  const flows: SimulatedConnection['flows'][number][] = []
  const lookups: SimulatedConnection['lookups'][number][] = []
  const done = (contact: Partial<Contact>): SimulatedConnection => ({
    contact: { ok: false, address: null, sourcePort: null, latencyMs: 0, error: null, ...contact },
    flows,
    lookups,
  })

  function connect(protocol: 'tcp' | 'udp', ip: string, port: number, traffic: Traffic, domains: readonly string[]) {
    const sourcePort = firstPort + (world.turn() % ports)
    const at = translate(world, ip, port, protocol)
    const verdict = judge(
      world,
      {
        sourceIp: caller.ip,
        destinationIp: at.ip,
        protocol: protocolNumber(protocol) as number,
        sourcePort,
        destinationPort: at.port,
        ...((at.ip !== ip || at.port !== port) && { addressed: { ip, port } }),
      },
      domains,
    )
    const service = world.model.service(ip, port, protocolNumber(protocol) as number)
    const isDenied = verdict.verdict === 'deny'
    const isHeard = listens(world.plan, at.ip, at.port, protocol)
    const seen =
      isDenied || (protocol === 'udp' && !isHeard)
        ? unanswered(protocol, traffic)
        : exchange(protocol, isHeard ? traffic : null)
    const report = (reporter: 'src' | 'dst', judgement: Judgement | null) => {
      const node = nodeOf(world.plan, reporter === 'src' ? caller.ip : at.ip)
      // A decision that policy had no part in leaves no record, as in the kernel.
      if (judgement === null || node === null || judgement.trace.length === 0) return
      const isOut = reporter === 'src'
      const update: FlowUpdate = {
        reporter,
        action: judgement.verdict,
        packet: verdict.packet,
        enforced: judgement.trace,
        service,
        domains,
        bytesIn: isOut ? seen.bytesBack : seen.bytesThere,
        bytesOut: isOut ? seen.bytesThere : seen.bytesBack,
        packetsIn: isOut ? seen.packetsBack : seen.packetsThere,
        packetsOut: isOut ? seen.packetsThere : seen.packetsBack,
        started: 1,
        completed: 1,
      }
      flows.push({ node, update })
    }
    report('src', verdict.egress)
    const { transit } = verdict
    const isStopped = [verdict.egress, transit.egress, transit.ingress].some((said) => said?.verdict === 'deny')
    if (!isStopped) report('dst', verdict.ingress)
    const error = isDenied
      ? 'timed out'
      : isHeard
        ? null
        : protocol === 'tcp' && isAnyone(world.plan, at.ip)
          ? 'refused'
          : 'timed out'
    return { ok: error === null, error, sourcePort }
  }

  let address: string | null = null
  let name: string | null = null
  if (/^[\d.]+$/.test(target.host)) address = target.host
  else {
    const server = world.plan.nameServerIp
    for (const candidate of searchNames(target.host, caller.namespace)) {
      const answer = lookUp(world.zone, { name: candidate, type: 'A' }, world.turn())
      const traffic = { sent: candidate.length + 18, received: candidate.length + 18 + 16 * answer.answers.length }
      if (!connect('udp', server, 53, traffic, []).ok)
        return done({ error: `the name server ${server} does not answer for ${candidate}` })
      const node = nodeOf(world.plan, caller.ip)
      const at = translate(world, server, 53, 'udp').ip
      if (node !== null) lookups.push({ node, lookup: lookupOf(caller.ip, at, candidate, answer) })
      const found = answer.answers.find((record) => record.type === 'A')
      if (found?.type !== 'A') continue
      address = found.data
      name = candidate
      break
    }
  }
  if (address === null) return done({ error: `no such name: ${target.host}` })
  if (target.scheme === 'dns' || target.port === null) return done({ ok: true, address })
  const domains = [...new Set([...(name === null ? [] : [name]), ...world.names(caller.ip, address)])]
  const traffic = {
    sent: target.scheme === 'http' ? 80 + target.host.length : 11,
    received: target.scheme === 'http' ? 120 : 11,
  }
  return done({ address, ...connect(target.scheme === 'udp' ? 'udp' : 'tcp', address, target.port, traffic, domains) })
}

/** The verdict, with the first known name of the destination that lets it through: rules on names are about addresses in the kernel. */
function judge({ model }: World, packet: Packet, domains: readonly string[]) {
  const plain = { packet, ...evaluate(model, packet) }
  if (plain.verdict === 'allow') return plain
  for (const domain of domains) {
    const named = evaluate(model, { ...packet, domains: [domain] })
    if (named.verdict === 'allow') return { packet: { ...packet, domains: [domain] }, ...named }
  }
  return plain
}

function translate(world: World, ip: string, port: number, protocol: 'tcp' | 'udp'): { ip: string; port: number } {
  const isNode = world.plan.nodes.some((node) => node.ip === ip)
  for (const service of world.plan.services) {
    const i = service.ports.findIndex(
      (one) =>
        one.protocol.toLowerCase() === protocol &&
        ((one.port === port && (service.clusterIp === ip || service.loadBalancerIp === ip)) ||
          (isNode && one.nodePort === port)),
    )
    if (i < 0) continue
    const behind = service.endpoints.filter(({ ports: targets }) => targets[i] != null)
    const chosen = behind[world.turn() % Math.max(1, behind.length)]
    if (chosen !== undefined) return { ip: chosen.pod.ip, port: chosen.ports[i] as number }
  }
  return { ip, port }
}

const podAt = (plan: LabPlan, ip: string): LabPod | undefined =>
  plan.pods.find((pod) => pod.ip === ip && !pod.hostNetwork)

/** The node whose agent sees an address; null outside the cluster. */
function nodeOf(plan: LabPlan, ip: string): string | null {
  return podAt(plan, ip)?.node ?? plan.nodes.find((node) => node.ip === ip)?.name ?? null
}

/** Whether a machine is there that would refuse; other addresses are silent. */
function isAnyone(plan: LabPlan, ip: string): boolean {
  return nodeOf(plan, ip) !== null || ip.startsWith('10.96.') || plan.internet.hosts.some((host) => host.address === ip)
}

function listens(plan: LabPlan, ip: string, port: number, protocol: 'tcp' | 'udp'): boolean {
  const isOpen = (ports: readonly { port: number; protocol: string }[]) =>
    ports.some((one) => one.port === port && one.protocol.toLowerCase() === protocol)
  if (plan.nodes.some((node) => node.ip === ip) && protocol === 'tcp' && (port === 22 || port === 10_250)) return true
  return (
    plan.pods.some((pod) => pod.ip === ip && isOpen(pod.ports)) ||
    plan.internet.hosts.some((host) => host.address === ip && isOpen(host.ports))
  )
}
