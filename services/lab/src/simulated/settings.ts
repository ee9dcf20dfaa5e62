import { defaultFlowLevels, type FlowLevels, milliseconds, type Resource } from '@margay/schemas'

/** What FelixConfiguration says about flow logs. */
export interface FlowSettings {
  readonly flushMs: number
  readonly levels: FlowLevels
}

/** The settings in force: FelixConfiguration `default`, or what holds without it. A value that makes no sense is as good as none. */
export function flowSettings(felix: readonly Resource[], fallbackMs: number): FlowSettings {
  const spec = (felix.find(({ metadata }) => metadata.name === 'default')?.spec ?? {}) as Record<string, unknown>
  const level = <L extends number>(value: unknown, highest: L): L | null =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= highest ? (value as L) : null
  let flushMs = fallbackMs
  try {
    if (typeof spec.flowLogsFlushInterval === 'string')
      flushMs = Math.max(1000, milliseconds(spec.flowLogsFlushInterval))
  } catch {
    // Not a duration: the fallback holds.
  }
  return {
    flushMs,
    levels: {
      allowed: level(spec.flowLogsFileAggregationKindForAllowed, 2) ?? defaultFlowLevels.allowed,
      denied: level(spec.flowLogsFileAggregationKindForDenied, 3) ?? defaultFlowLevels.denied,
    },
  }
}
