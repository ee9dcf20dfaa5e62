import type { FelixConfigurationSpec } from '../resources/kinds/felix-configuration.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalAddress } from './ip.ts'
import type { Direction, EndpointToHostAction, FailsafePort } from './model.ts'

/** Settings and addresses of nodes that decide about host traffic. */
export interface HostSettings {
  /** Takes a Node or a FelixConfiguration; false for others. */
  put(resource: Resource): boolean
  remove(resource: Resource): boolean
  nodeOf(ip: string): string | null
  failsafes(direction: Direction, node: string): readonly FailsafePort[]
  endpointToHostAction(node: string): EndpointToHostAction
  isTunnel(node: string, protocol: number, port: number | null): boolean
}

const anywhere = '0.0.0.0/0'
const ports = (protocol: number, list: readonly number[]) => list.map((port) => ({ protocol, port, net: anywhere }))
const tcp = 6
const udp = 17
const ipip = 4
const usualVxlanPort = 4789
const cluster = [179, 2379, 2380, 5473, 6443, 6666, 6667]

/** Ports open unless configuration says otherwise (spec 5.7.2). */
const defaults: Readonly<Record<Direction, readonly FailsafePort[]>> = {
  ingress: [...ports(tcp, [22, ...cluster]), ...ports(udp, [68])],
  egress: [...ports(udp, [53, 67]), ...ports(tcp, cluster)],
}

/** Makes the settings of a cluster without nodes and without FelixConfiguration. */
export function createHostSettings(): HostSettings {
  const nodes = new Map<string, readonly string[]>()
  /** FelixConfigurations by name: `default`, and `node.<name>`, whose fields go before it. */
  const configurations = new Map<string, FelixConfigurationSpec>()
  /** Settings by node, as long as no configuration changes. */
  const known = new Map<string, FelixConfigurationSpec>()
  let byIp: Map<string, string> | null = null

  function addresses(): Map<string, string> {
    byIp ??= new Map([...nodes].flatMap(([name, ips]) => ips.map((ip) => [ip, name] as const)))
    return byIp
  }

  function change({ kind, metadata, ...rest }: Resource, present: boolean): boolean {
    if (kind === 'Node') {
      if (present) nodes.set(metadata.name, nodeAddresses(rest.status))
      else nodes.delete(metadata.name)
      byIp = null
      return true
    }
    if (kind !== 'FelixConfiguration') return false
    known.clear()
    if (present) configurations.set(metadata.name, (rest.spec ?? {}) as FelixConfigurationSpec)
    else configurations.delete(metadata.name)
    return true
  }

  function settingsOf(node: string): FelixConfigurationSpec {
    let settings = known.get(node)
    if (settings === undefined) {
      settings = { ...configurations.get('default'), ...configurations.get(`node.${node}`) }
      known.set(node, settings)
    }
    return settings
  }

  return {
    put: (resource) => change(resource, true),
    remove: (resource) => change(resource, false),
    nodeOf: (ip) => addresses().get(ip) ?? null,
    failsafes(direction, node) {
      const settings = settingsOf(node)
      const given = direction === 'ingress' ? settings.failsafeInboundHostPorts : settings.failsafeOutboundHostPorts
      return (
        given?.map(({ protocol, port, net }) => ({
          protocol: protocolNumber(protocol ?? 'tcp') ?? tcp,
          port,
          net: net || anywhere,
        })) ?? defaults[direction]
      )
    },
    endpointToHostAction: (node) =>
      (settingsOf(node).defaultEndpointToHostAction?.toLowerCase() ?? 'drop') as EndpointToHostAction,
    isTunnel(node, protocol, port) {
      if (protocol === ipip) return settingsOf(node).allowIPIPPacketsFromWorkloads !== true
      if (protocol !== udp) return false
      const { allowVXLANPacketsFromWorkloads, vxlanPort = usualVxlanPort } = settingsOf(node)
      return port === vxlanPort && allowVXLANPacketsFromWorkloads !== true
    },
  }
}

function nodeAddresses(status: unknown): string[] {
  const { addresses = [] } = (status ?? {}) as { addresses?: { type?: string; address?: string }[] }
  return addresses.flatMap(({ type, address }) => (address && type !== 'Hostname' ? [canonicalAddress(address)] : []))
}
