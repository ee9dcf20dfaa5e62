/** A host endpoint of a node, as YAML. */
export const hostEndpoint = (options: {
  readonly name: string
  readonly node?: string
  readonly interfaceName?: string
  readonly ips?: readonly string[]
  readonly profiles?: string
}) => `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: ${options.name}, labels: {host: 'yes'}}
spec:
  node: ${options.node ?? 'node1'}
  ${options.interfaceName === undefined ? '' : `interfaceName: '${options.interfaceName}'`}
  expectedIPs: ${JSON.stringify(options.ips ?? [])}
  profiles: ${options.profiles ?? '[]'}
---
`
