import type { FlowEvent } from '@margay/schemas'

/**
 * Flows of a made-up cluster: 40 nodes, 200 workloads of 3 pods, some talking far more than others, 6 % with addresses outside,
 * 4 % denied. The same seed gives the same flows.
 */
export function flowCorpus(count: number, seed: number, now: number): FlowEvent[] {
  const random = mulberry32(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const often = (size: number) => Math.floor(size * random() ** 3)
  const namespaces = ['shop', 'payments', 'search', 'media', 'monitoring', 'kube-system', 'data', 'web']
  const workloads = Array.from({ length: 200 }, (_, i) => {
    const namespace = pick(namespaces)
    const name = `${pick(['api', 'worker', 'db', 'cache', 'gateway', 'queue'])}-${i}`
    const pods = Array.from({ length: 3 }, (_pod, p) => ({
      ip: `10.${64 + (i >> 6)}.${i & 63}.${p + 10}`,
      node: `node${Math.floor(random() * 40)}`,
    }))
    const labels = [`app=${name}`, `env=${pick(['prod', 'staging'])}`, `tier=${pick(['front', 'back', 'data'])}`]
    return { namespace, name, pods, labels, port: pick([80, 443, 5432, 6379, 8080, 9090]) }
  })
  return Array.from({ length: count }, () => {
    const source = workloads[often(200)] as (typeof workloads)[number]
    const dest = workloads[often(200)] as (typeof workloads)[number]
    const pod = pick(source.pods)
    const outside = random() < 0.06
    const denied = random() < 0.04
    const connections = 1 + often(20)
    const packets = connections * (4 + often(200))
    const rule = `0|security|security.${dest.namespace}.allow-${dest.name}|${denied ? 'deny' : 'allow'}|${often(4)}`
    const end = now - Math.floor(random() * 600_000)
    return {
      cluster: 'bench',
      host: pod.node,
      start_time: end - 10_000,
      end_time: end,
      action: denied ? 'deny' : 'allow',
      reporter: random() < 0.5 ? 'src' : 'dst',
      proto: random() < 0.9 ? 'tcp' : 'udp',
      source_ip: pod.ip,
      source_port: null,
      source_name: '-',
      source_name_aggr: `${source.name}-*`,
      source_namespace: source.namespace,
      source_type: 'wep',
      source_labels: source.labels,
      dest_ip: outside ? `203.0.113.${often(250)}` : pick(dest.pods).ip,
      dest_port: outside ? 443 : dest.port,
      dest_name: '-',
      dest_name_aggr: outside ? 'pub' : `${dest.name}-*`,
      dest_namespace: outside ? '-' : dest.namespace,
      dest_type: outside ? 'net' : 'wep',
      dest_labels: outside ? [] : dest.labels,
      dest_service_namespace: outside ? '-' : dest.namespace,
      dest_service_name: outside ? '-' : dest.name,
      dest_service_port: outside ? '-' : 'main',
      dest_domains: outside ? ['api.example.com'] : [],
      enforced_policies: [rule],
      pending_policies: [rule],
      bytes_in: packets * (60 + often(1400)),
      bytes_out: packets * (60 + often(1400)),
      packets_in: packets,
      packets_out: packets + often(10),
      num_flows: connections,
      num_flows_started: often(connections + 1),
      num_flows_completed: often(connections + 1),
    } satisfies Partial<FlowEvent> as FlowEvent
  })
}

/** A small generator of numbers in [0, 1) with a 32-bit state (Tommy Ettinger's public-domain mulberry32). */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
