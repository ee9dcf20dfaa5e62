import type { LabPlan } from '../manifests/plan.ts'

/** A record of the lab's zone. */
export type ZoneRecord =
  | { readonly type: 'A' | 'AAAA'; readonly ttl: number; readonly data: string }
  | { readonly type: 'CNAME'; readonly ttl: number; readonly data: string }
  | { readonly type: 'PTR'; readonly ttl: number; readonly data: string }
  | {
      readonly type: 'SRV'
      readonly ttl: number
      readonly data: { priority: number; weight: number; port: number; target: string }
    }

/** What the lab's name server knows: cluster names, and the names of the outside world. */
export interface Zone {
  /** Records by lower-case name; a name with an empty list exists but has no record. */
  readonly records: ReadonlyMap<string, readonly ZoneRecord[]>
  /** Names whose answers are too long for UDP. */
  readonly tcpOnly: ReadonlySet<string>
}

/** The domain of services. */
export const clusterDomain = 'cluster.local'
/** Seconds, as kube-dns gives cluster names. */
const clusterTtl = 30

/** Name of an address in the reverse zone. */
const reverseName = (ip: string) => `${ip.split('.').reverse().join('.')}.in-addr.arpa`

/** Builds the zone of a plan, after the Kubernetes DNS specification (services, headless services, pods, SRV, PTR). */
export function zoneOf(plan: LabPlan): Zone {
  const records = new Map<string, ZoneRecord[]>()
  const add = (name: string, ...more: ZoneRecord[]) => {
    records.set(name, [...(records.get(name) ?? []), ...more])
  }
  const a = (data: string, ttl = clusterTtl): ZoneRecord => ({ type: 'A', ttl, data })
  const ptr = (ip: string, data: string) => add(reverseName(ip), { type: 'PTR', ttl: clusterTtl, data })

  for (const pod of plan.pods) add(`${pod.ip.replaceAll('.', '-')}.${pod.namespace}.pod.${clusterDomain}`, a(pod.ip))
  for (const service of plan.services) {
    const name = `${service.name}.${service.namespace}.svc.${clusterDomain}`.toLowerCase()
    const targets: { target: string; ports: readonly (number | null)[] }[] = []
    if (service.clusterIp !== null) {
      add(name, a(service.clusterIp))
      ptr(service.clusterIp, name)
      targets.push({ target: name, ports: service.ports.map(({ port }) => port) })
    } else {
      add(name)
      for (const { pod, ports } of service.endpoints) {
        const isNamed = pod.spec.hostname !== undefined && pod.spec.subdomain === service.name
        const target = `${isNamed ? pod.spec.hostname : pod.ip.replaceAll('.', '-')}.${name}`
        const addresses: ZoneRecord[] = [a(pod.ip)]
        if (pod.ip6 !== null) addresses.push({ type: 'AAAA', ttl: clusterTtl, data: pod.ip6 })
        add(name, ...addresses)
        add(target, ...addresses)
        ptr(pod.ip, target)
        targets.push({ target, ports })
      }
    }
    service.ports.forEach((port, i) => {
      if (port.name === '') return
      for (const { target, ports } of targets) {
        const number = ports[i]
        if (number == null) continue
        const data = { priority: 0, weight: 100, port: number, target }
        add(`_${port.name}._${port.protocol.toLowerCase()}.${name}`, { type: 'SRV', ttl: clusterTtl, data })
      }
    })
  }
  for (const [name, target] of plan.aliases) add(name, { type: 'CNAME', ttl: clusterTtl, data: target })
  for (const { name, ttl, cname, addresses } of plan.internet.names) {
    if (cname !== null) add(name, { type: 'CNAME', ttl, data: cname })
    else add(name, ...addresses.map((ip) => a(ip, ttl)))
  }
  return { records, tcpOnly: new Set(plan.internet.names.filter((n) => n.tcpOnly).map((n) => n.name)) }
}

/** What a name server answers. */
export interface ZoneAnswer {
  readonly rcode: 'NOERROR' | 'NXDOMAIN'
  readonly answers: readonly (ZoneRecord & { readonly name: string })[]
}

/** Longest chain of CNAME records followed. */
const maxChain = 8

/** Answers a question: follows CNAMEs, turns the order of several addresses by `turn`; an unknown name is NXDOMAIN. */
export function lookUp(zone: Zone, question: { name: string; type: string }, turn = 0): ZoneAnswer {
  const answers: (ZoneRecord & { name: string })[] = []
  let name = question.name.toLowerCase().replace(/\.$/, '')
  for (let i = 0; i < maxChain; i++) {
    const found = zone.records.get(name)
    if (found === undefined) return { rcode: 'NXDOMAIN', answers }
    const matching = found.filter(({ type }) => type === question.type || question.type === 'ANY')
    const at = matching.length === 0 ? 0 : turn % matching.length
    for (const record of [...matching.slice(at), ...matching.slice(0, at)]) answers.push({ name, ...record })
    const alias = found.find(({ type }) => type === 'CNAME')
    if (alias?.type !== 'CNAME' || matching.length > 0) break
    answers.push({ name, ...alias })
    name = alias.data
  }
  return { rcode: 'NOERROR', answers }
}

/** The names that a pod's resolver tries for a name, in order (search domains, ndots 5), as glibc does. */
export function searchNames(name: string, namespace: string): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const searched = searchDomains(namespace).map((domain) => `${name}.${domain}`)
  return name.split('.').length - 1 >= 5 ? [name, ...searched] : [...searched, name]
}

/** Search domains of a namespace's pods. */
const searchDomains = (namespace: string) => [
  `${namespace}.svc.${clusterDomain}`,
  `svc.${clusterDomain}`,
  clusterDomain,
]

/** The resolv.conf of a pod. */
export const resolvConf = (namespace: string, nameServerIp: string) =>
  `nameserver ${nameServerIp}\nsearch ${searchDomains(namespace).join(' ')}\noptions ndots:5\n`
