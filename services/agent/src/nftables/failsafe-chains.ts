import { type Direction, type FailsafePort, hasPorts, type Stage } from '@margay/schemas'
import { familyOf } from './cidr.ts'
import type { Chain, Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/**
 * The chain that accepts packets of failsafe ports before policy of a stage is asked, or returns. Policy of forwarded packets knows
 * no such ports, so before the kernel has decided about the way, only packets to an address of the node count.
 */
export function failsafeChain(direction: Direction, stage: Stage): string {
  const name = direction === 'ingress' ? 'failsafe-in' : 'failsafe-out'
  return stage === 'normal' || stage === 'forward' ? name : `${name}-${stage}`
}

const toNode = 'fib daddr type local'

/** The chains of all stages. Where connections are not tracked, answers must be let through too, known by the port they come from. */
export function failsafeChains(
  failsafes: (direction: Direction) => readonly FailsafePort[],
  sets: SetCollector,
): Map<string, Chain> {
  const [inbound, outbound] = [failsafes('ingress'), failsafes('egress')]
  const chain = (...rules: readonly Rule[]): Chain => ({ hook: null, rules })
  return new Map([
    ['failsafe-in', chain(...failsafeRules(inbound, 'saddr', 'dport', sets))],
    ['failsafe-out', chain(...failsafeRules(outbound, 'daddr', 'dport', sets))],
    ['failsafe-in-pre-dnat', chain([toNode, 'jump failsafe-in'])],
    ['failsafe-in-answers', chain(...failsafeRules(inbound, 'daddr', 'sport', sets))],
    ['failsafe-out-answers', chain(...failsafeRules(outbound, 'saddr', 'sport', sets))],
    ['failsafe-in-untracked', chain([toNode, 'jump failsafe-in'], [toNode, 'jump failsafe-out-answers'])],
    ['failsafe-out-untracked', chain(['jump failsafe-out'], ['jump failsafe-in-answers'])],
  ])
}

/**
 * One rule for each protocol and network at the other end, whose address is where `end` says and the ports where `port` does. A network
 * of every IPv4 address stands for IPv6 too.
 */
function failsafeRules(
  ports: readonly FailsafePort[],
  end: 'saddr' | 'daddr',
  port: 'sport' | 'dport',
  sets: SetCollector,
): Rule[] {
  const groups = new Map<string, FailsafePort[]>()
  for (const open of ports) {
    if (!hasPorts(open.protocol)) continue
    const key = `${open.protocol} ${open.net}`
    groups.set(key, [...(groups.get(key) ?? []), open])
  }
  return [...groups.values()].flatMap((group) => {
    const { protocol, net } = group[0] as FailsafePort
    const family = familyOf(net)
    const networks = family === null ? 'none' : sets.networks([net], family)
    if (networks === 'none') return []
    const numbers = sets.ports(group.map(({ port: number }) => ({ first: number, last: number })))
    const address = `${family === 4 ? 'ip' : 'ip6'} ${end} ${networks}`
    return [[...(networks === 'all' ? [] : [address]), `meta l4proto ${protocol}`, `th ${port} ${numbers}`, 'accept']]
  })
}
