import { type Cluster, createCluster, parseResources } from '@margay/schemas'

/** A cluster model from YAML. Throws when a resource is not valid, so that a test cannot pass on a typing error. */
export function clusterOf(...texts: readonly string[]): Cluster {
  const cluster = createCluster()
  for (const text of texts) applyYaml(cluster, text)
  return cluster
}

/** Applies every document of a YAML text. */
export function applyYaml(cluster: Cluster, text: string): void {
  const { resources, problems } = parseResources(text)
  const errors = problems.filter((problem) => problem.severity === 'error')
  if (errors.length > 0) throw new Error(errors.map((e) => `${e.path}: ${e.message}`).join('\n'))
  for (const { resource } of resources) cluster.apply(resource)
}

/** A namespace, with labels in YAML flow form. */
export const namespace = (name: string, labels = '{}') => `
apiVersion: v1
kind: Namespace
metadata: {name: ${name}, labels: ${labels}}
---
`

/** A pod with addresses on a node. */
export function pod(options: {
  readonly name: string
  readonly namespace?: string
  readonly node?: string
  readonly ips: readonly string[]
  readonly labels?: string
  readonly ports?: string
}): string {
  return `
apiVersion: v1
kind: Pod
metadata: {name: ${options.name}, namespace: ${options.namespace ?? 'shop'}, labels: ${options.labels ?? '{}'}}
spec:
  nodeName: ${options.node ?? 'node1'}
  containers: [{name: main, image: main, ports: ${options.ports ?? '[]'}}]
status: {phase: Running, podIP: ${options.ips[0]}, podIPs: [${options.ips.map((ip) => `{ip: '${ip}'}`).join(', ')}]}
---
`
}
