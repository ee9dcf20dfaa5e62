import type { DnsSettings } from '../dns/aggregate.ts'
import { parseDuration } from '../resources/duration.ts'
import type { Resource } from '../resources/resource.ts'
import { defaultFlowSettings, type FlowSettings } from './settings.ts'

/** What FelixConfiguration says about the flow and DNS logs of a node (spec 4.8), completed with what holds without it. */
export interface LogSettings extends DnsSettings {
  readonly flowFlushMs: number
  readonly dnsFlushMs: number
  readonly flows: FlowSettings
  /** Policies of host endpoints that a flow met on its way are told too. */
  readonly flowTransit: boolean
  /** Statistics of TCP sockets. */
  readonly flowTcp: boolean
}

const builtIn = defaultFlowSettings

type Spec = Readonly<Record<string, unknown>>

/** The spec in force on a node, member by member: `node.<name>` goes before `default`. Without a node, that of `default`. */
export function felixSpec(felix: readonly Resource[], node: string | null): Spec {
  const specOf = (name: string): Spec => (felix.find(({ metadata }) => metadata.name === name)?.spec ?? {}) as Spec
  return { ...specOf('default'), ...(node === null ? {} : specOf(`node.${node}`)) }
}

/**
 * The settings of logs in a spec; what it does not say is as `fallback` and the built-in defaults have it. A value that makes no
 * sense is as good as none; the API refuses such resources.
 */
export function logSettings(spec: Spec, fallback: { readonly flowFlushMs: number }): LogSettings {
  return {
    flowFlushMs: interval(spec.flowLogsFlushInterval) ?? fallback.flowFlushMs,
    dnsFlushMs: interval(spec.dnsLogsFlushInterval) ?? fallback.flowFlushMs,
    flows: {
      levels: {
        allowed: oneOf([0, 1, 2], spec.flowLogsFileAggregationKindForAllowed) ?? builtIn.levels.allowed,
        denied: oneOf([0, 1, 2, 3], spec.flowLogsFileAggregationKindForDenied) ?? builtIn.levels.denied,
      },
      reevaluates: (spec.flowLogsPolicyEvaluationMode ?? 'Continuous') === 'Continuous',
      domainLimit: amount(spec.flowLogsFileDomainsLimit) ?? builtIn.domainLimit,
      natPortLimit: amount(spec.flowLogsFileNatOutgoingPortLimit) ?? builtIn.natPortLimit,
    },
    flowTcp: spec.flowLogsCollectTcpStats === true,
    flowTransit: spec.flowLogsPolicyScope === 'AllPolicies',
    dnsAggregation: oneOf([0, 1], spec.dnsLogsFileAggregationKind) ?? 1,
    dnsIncludeLabels: spec.dnsLogsFileIncludeLabels !== false,
    dnsLatency: spec.dnsLogsLatency !== false,
    dnsLimit: amount(spec.dnsLogsFilePerNodeLimit) ?? 0,
  }
}

/** More flushes than ten a second would only cost. */
const leastIntervalMs = 100

function interval(value: unknown): number | null {
  const ms = typeof value === 'string' ? parseDuration(value) : null
  return ms !== null && ms >= leastIntervalMs ? ms : null
}

const oneOf = <const T>(values: readonly T[], value: unknown): T | null => values.find((v) => v === value) ?? null

const amount = (value: unknown) => (typeof value === 'number' && value >= 0 ? value : null)
