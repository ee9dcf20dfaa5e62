/**
 * Addresses of the lab. Every lab has the same ones: its namespaces share nothing with each other or with the machine.
 * Nodes are in a network of their own, pods in one /24 a node, services beside them, as kubeadm would lay them out.
 */

/** Every pod address. */
export const podNetwork = '10.244.0.0/16'
/** Every cluster IP. */
export const serviceNetwork = '10.96.0.0/16'
/** Router between the nodes' network and the outside world. */
export const gatewayIp = '172.18.0.1'
/** Nodes, the router and load balancers. */
export const nodeNetwork = '172.18.0.0/16'
/** Link between the router and the outside world. */
export const uplink = { fabric: '100.64.0.1', internet: '100.64.0.2' } as const
/** Where pods find the name server, unless the manifests give kube-system/kube-dns another address. */
export const defaultNameServerIp = '10.96.0.10'

/** Address of node k (from 1) in the nodes' network. */
export const nodeIp = (k: number) => `172.18.0.${k + 1}`
/** Every address of a load balancer. */
export const loadBalancerNetwork = '172.18.255.0/24'
/** Address of the nth (from 0) load balancer. */
export const loadBalancerIp = (n: number) => `172.18.255.${n + 1}`
/** Pods of node k. */
export const podCidr = (k: number) => `10.244.${k}.0/24`

/** Every IPv6 address of a pod, and those of node k. */
export const podNetwork6 = 'fd00:10:244::/48'
export const podCidr6 = (k: number) => `fd00:10:244:${k}::/64`

/** The IPv6 address that goes with that of a pod, a node or the router: fd00:10:244:1::2 with 10.244.1.2. */
export function ip6Of(ip: string): string {
  const [a, b, c, d] = ip.split('.')
  return `fd00:${a}:${b}${c === '0' ? '' : `:${c}`}::${d}`
}

/** The first pod address of node k that is free; null when the node is full. */
export function freePodIp(k: number, taken: ReadonlySet<string>): string | null {
  for (let last = 2; last < 255; last++) {
    const ip = `10.244.${k}.${last}`
    if (!taken.has(ip)) return ip
  }
  return null
}

/** The first free cluster IP from a slot on. 10.96.0.0/24 is left to addresses that manifests ask for. */
export function freeClusterIp(slot: number, taken: ReadonlySet<string>): string {
  for (let i = 0; ; i++) {
    const n = 256 + ((slot + i) % clusterIpSlots)
    const ip = `10.96.${n >> 8}.${n & 255}`
    if (!taken.has(ip) && (n & 255) !== 0 && (n & 255) !== 255) return ip
  }
}

/** How many slots `freeClusterIp` knows. */
export const clusterIpSlots = 65_536 - 512
