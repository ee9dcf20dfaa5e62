import type { Resource } from '@margay/schemas'

/** How large a cluster is, and how much policy it has. */
export interface Shape {
  readonly policies: number
  /** Pods in the cluster, those of the measured node included. */
  readonly endpoints: number
  /** Pods on the measured node. */
  readonly local: number
  /** Policies select pods by one of so many label values; 100 groups of policies select 1 % of the pods each. */
  readonly groups: number
}

/** Name of a shape, as in `1000x250`. */
export const nameOf = ({ policies, endpoints }: Shape) => `${policies}x${endpoints}`

/** The shape that published comparisons use: each policy selects 1 % of the pods. */
export const shape = (policies: number, endpoints: number, local = endpoints): Shape => ({
  policies,
  endpoints,
  local: Math.min(local, endpoints),
  groups: 100,
})

/** Different labels that rules select peers by. */
const applications = 250
/** Ports that rules choose two of. */
const ports = Array.from({ length: 60 }, (_, index) => 1000 + 7 * index)

/** The node whose agent is measured. */
export const measuredNode = 'node1'

/** Address of a pod by number, unique up to 16 million. */
export const addressOf = (index: number) => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`

/** Host-side interface of a local pod. */
export const interfaceOf = (index: number) => `cali${index.toString(36).padStart(6, '0')}`

/** A running pod; the first `local` ones are on the measured node. */
export function pod({ local, groups }: Shape, index: number, group = index % groups): Resource {
  const name = `pod-${index}`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      labels: { group: `g${group}`, app: `a${index % applications}`, tier: `t${index % 5}` },
    },
    spec: {
      nodeName: index < local || index >= 2 ** 20 ? measuredNode : `node${2 + (index % 400)}`,
      containers: [{ name: 'main', image: 'none' }],
    },
    status: { phase: 'Running', podIP: addressOf(index), podIPs: [{ ip: addressOf(index) }] },
  }
}

/** A policy with four ingress and four egress rules, each with a peer's label and two ports; `edition` changes one of its ports. */
export function policy({ groups }: Shape, index: number, edition = 0): Resource {
  const rule = (at: number, side: 'source' | 'destination') => {
    const first = ports[(index * 7 + at * 13 + edition) % ports.length] as number
    const second = ports[(index * 11 + at * 17 + 5 + edition) % ports.length] as number
    const peer = { selector: `app == 'a${(index * 3 + at * 31) % applications}'` }
    const limited = { ports: first === second ? [first, first + 1] : [first, second] }
    return {
      action: 'Allow',
      protocol: 'TCP',
      source: side === 'source' ? peer : {},
      destination: side === 'source' ? limited : { ...peer, ...limited },
    }
  }
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { name: `policy-${index}` },
    spec: {
      tier: 'default',
      order: index,
      selector: `group == 'g${index % groups}'`,
      types: ['Ingress', 'Egress'],
      ingress: [0, 1, 2, 3].map((at) => rule(at, 'source')),
      egress: [4, 5, 6, 7].map((at) => rule(at, 'destination')),
    },
  }
}

/** Everything that a cluster of the shape holds. */
export function* resourcesOf(shape: Shape): Generator<Resource> {
  yield { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: {} } }
  for (let index = 0; index < shape.policies; index += 1) yield policy(shape, index)
  for (let index = 0; index < shape.endpoints; index += 1) yield pod(shape, index)
}
