import { defaultFlowLevels, type FlowLevels, milliseconds, type Resource } from '@margay/schemas'
import type { RenderOptions } from '../nftables/render.ts'

/** What the agent takes from FelixConfiguration (spec 4.8), completed with what holds without it. */
export interface NodeSettings {
  readonly flowFlushMs: number
  readonly dnsFlushMs: number
  readonly flowLevels: FlowLevels
  readonly dnsAggregation: 0 | 1
  readonly dnsIncludeLabels: boolean
  readonly dnsLatency: boolean
  /** DNS lookups told in one interval; 0: all. */
  readonly dnsLimit: number
  readonly render: Omit<RenderOptions, 'serviceIps'>
}

type Spec = Readonly<Record<string, unknown>>

/**
 * The settings of a node: `node.<name>` goes before `default`, that before what the agent was started with. A value that makes no sense
 * is as good as none; the API refuses such resources.
 */
export function nodeSettings(
  resources: readonly Resource[],
  node: string,
  fallback: { readonly flowFlushMs: number },
): NodeSettings {
  const specOf = (name: string): Spec => (resources.find((r) => r.metadata.name === name)?.spec ?? {}) as Spec
  const spec: Spec = { ...specOf('default'), ...specOf(`node.${node}`) }
  const flowFlushMs = duration(spec.flowLogsFlushInterval) ?? fallback.flowFlushMs
  return {
    flowFlushMs,
    dnsFlushMs: duration(spec.dnsLogsFlushInterval) ?? fallback.flowFlushMs,
    flowLevels: {
      allowed: oneOf([0, 1, 2], spec.flowLogsFileAggregationKindForAllowed) ?? defaultFlowLevels.allowed,
      denied: oneOf([0, 1, 2, 3], spec.flowLogsFileAggregationKindForDenied) ?? defaultFlowLevels.denied,
    },
    dnsAggregation: oneOf([0, 1], spec.dnsLogsFileAggregationKind) ?? 1,
    dnsIncludeLabels: spec.dnsLogsFileIncludeLabels !== false,
    dnsLatency: spec.dnsLogsLatency !== false,
    dnsLimit: typeof spec.dnsLogsFilePerNodeLimit === 'number' ? spec.dnsLogsFilePerNodeLimit : 0,
    render: {
      allowVxlan: spec.allowVXLANPacketsFromWorkloads === true,
      allowIpip: spec.allowIPIPPacketsFromWorkloads === true,
    },
  }
}

function duration(value: unknown): number | null {
  if (typeof value !== 'string') return null
  try {
    const ms = milliseconds(value)
    return ms >= 100 ? ms : null
  } catch {
    return null
  }
}

const oneOf = <const T>(values: readonly T[], value: unknown): T | null => values.find((v) => v === value) ?? null
