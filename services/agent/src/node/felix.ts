import { type FelixConfigurationSpec, felixSpec, type LogSettings, logSettings, type Resource } from '@margay/schemas'
import type { XdpModes } from '../bpf/deny-list.ts'
import { type DnsPolicySettings, dnsPolicySettings } from '../dns/settings.ts'
import { type DenialOptions, defaultDenial } from '../nftables/denial.ts'
import type { RenderOptions } from '../nftables/render.ts'

/** What the agent takes from FelixConfiguration (spec 4.8), completed with what holds without it. */
export interface NodeSettings extends LogSettings {
  readonly render: Omit<RenderOptions, 'serviceIps'>
  readonly dnsPolicy: DnsPolicySettings
  /** Where deny lists may be enforced at the driver. */
  readonly xdp: XdpModes
}

/** The settings of a node: `node.<name>` goes before `default`, that before what the agent was started with. */
export function nodeSettings(
  resources: readonly Resource[],
  node: string,
  fallback: { readonly flowFlushMs: number },
): NodeSettings {
  const spec: FelixConfigurationSpec = felixSpec(resources, node)
  return {
    ...logSettings(spec, fallback),
    render: {
      allowVxlan: spec.allowVXLANPacketsFromWorkloads === true,
      allowIpip: spec.allowIPIPPacketsFromWorkloads === true,
      vxlanPort: spec.vxlanPort ?? 4789,
      checksState: spec.disableConntrackInvalidCheck !== true,
      denial: denialOptions(spec),
    },
    dnsPolicy: dnsPolicySettings(spec),
    xdp: { native: spec.xdpEnabled === true, generic: spec.xdpEnabled === true && spec.genericXDPEnabled === true },
  }
}

function denialOptions(spec: FelixConfigurationSpec): DenialOptions {
  const { dropActionOverride: override = 'Drop' } = spec
  return {
    action: (spec.nftablesFilterDenyAction ?? spec.iptablesFilterDenyAction) === 'Reject' ? 'reject' : 'drop',
    passes: override.endsWith('Accept'),
    isLogged: override.startsWith('LogAnd'),
    logPrefix: printable(spec.logPrefix ?? defaultDenial.logPrefix),
    logLimit: limitOf(spec) ?? defaultDenial.logLimit,
  }
}

/** nftables has no way to quote what its strings may not hold, and the kernel takes short prefixes. */
const printable = (text: string) => text.replace(/[^A-Za-z0-9_.|-]/g, '_').slice(0, 60)

/** The kernel's limit for a rate such as `10/second`; less than one line a minute is one. Null when no rate is given. */
function limitOf({
  logActionRateLimit = '',
  logActionRateLimitBurst: burst = 5,
}: FelixConfigurationSpec): string | null {
  const [, count, unit] = /^([1-9]\d{0,5})\/(second|minute|hour|day)$/.exec(logActionRateLimit) ?? []
  if (count === undefined || unit === undefined) return null
  const minutes = { hour: 60, day: 1440 }[unit]
  const rate = minutes === undefined ? `${count}/${unit}` : `${Math.max(1, Math.round(Number(count) / minutes))}/minute`
  return `limit rate ${rate} burst ${burst} packets`
}
