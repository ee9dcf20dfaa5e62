import type { Endpoint } from '@margay/schemas'
import { type DenialOptions, defaultDenial } from './denial.ts'

/** Log prefix of packets to a service before DNAT, by which denied connections learn what was addressed. */
export const servicePrefix = 'margay-service'

/** What settings change about the rules. */
export interface RenderOptions {
  readonly allowVxlan: boolean
  readonly allowIpip: boolean
  /** UDP port of VXLAN. */
  readonly vxlanPort: number
  /** Packets that belong to no connection are dropped. */
  readonly checksState: boolean
  readonly denial: DenialOptions
  /** Addresses of services; connections to them are told with the service although DNAT hides it. */
  readonly serviceIps: ReadonlySet<string>
}

/** What holds without FelixConfiguration. */
export const defaultRenderOptions: RenderOptions = {
  allowVxlan: false,
  allowIpip: false,
  vxlanPort: 4789,
  checksState: true,
  denial: defaultDenial,
  serviceIps: new Set(),
}

/** A workload endpoint of this node with the interface that leads to it. */
export interface LocalEndpoint {
  readonly endpoint: Endpoint
  readonly interfaceName: string
}
