/** What the orchestrator tells the producer. */
export interface Order {
  readonly do: 'prepare' | 'go'
  readonly variant: 'margay' | 'baseline'
  readonly events: number
  readonly seed: number
}

export const baselineTopic = 'bench.baseline'
export const baselineTable = 'flows_baseline'
