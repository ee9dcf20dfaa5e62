import type { Internet } from '../manifests/internet.ts'
import { type LabPort, portKey } from '../manifests/port.ts'
import { natTable } from './nat.ts'

/** Lines of `ip -batch` that give the outside namespace the addresses of its hosts and take those away that are gone. */
export function outsideLines(before: Internet, after: Internet): string[] {
  const old = new Set(before.hosts.map(({ address }) => address))
  const wanted = new Set(after.hosts.map(({ address }) => address))
  return [
    ...[...old].filter((address) => !wanted.has(address)).map((address) => `addr del ${address}/32 dev lo`),
    ...[...wanted].filter((address) => !old.has(address)).map((address) => `addr add ${address}/32 dev lo`),
  ]
}

/** Every port on which some host answers: one listener serves all addresses. */
export function outsidePorts(internet: Internet): LabPort[] {
  return [...new Map(internet.hosts.flatMap(({ ports }) => ports).map((port) => [portKey(port), port])).values()]
}

/** Rules of the outside namespace: a host refuses a port that only another host answers on. */
export function outsideRules(internet: Internet): string {
  const table = `ip ${natTable}`
  const answers = internet.hosts.flatMap(({ address, ports }) =>
    ports.map(({ protocol, port }) => `${address} . ${protocol.toLowerCase()} . ${port}`),
  )
  const lines = [
    `add table ${table}`,
    `add set ${table} answers { type ipv4_addr . inet_proto . inet_service; }`,
    `add chain ${table} input { type filter hook input priority 0; }`,
    `flush chain ${table} input`,
    `flush set ${table} answers`,
    ...(answers.length === 0 ? [] : [`add element ${table} answers { ${answers.join(', ')} }`]),
    `add rule ${table} input ct state established,related accept`,
    `add rule ${table} input meta l4proto icmp accept`,
    `add rule ${table} input ip daddr . meta l4proto . th dport @answers accept`,
    `add rule ${table} input meta l4proto tcp reject with tcp reset`,
    `add rule ${table} input reject`,
  ]
  return `${lines.join('\n')}\n`
}
