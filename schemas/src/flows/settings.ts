/** How flow logs are made (spec 4.8). */
export interface FlowSettings {
  readonly levels: FlowLevels
  /** Pending policies follow policy; otherwise they stay as they were when the connection was first seen in the interval. */
  readonly reevaluates: boolean
  /** Names kept in `dest_domains` of one event. */
  readonly domainLimit: number
  /** Ports kept in `nat_outgoing_ports` of one event. */
  readonly natPortLimit: number
}

/** Aggregation levels: 0 none, 1 source port, 2 pod prefix, 3 destination port too. */
export interface FlowLevels {
  readonly allowed: 0 | 1 | 2
  readonly denied: 0 | 1 | 2 | 3
}

/** Settings in force unless FelixConfiguration says otherwise. */
export const defaultFlowSettings: FlowSettings = {
  levels: { allowed: 2, denied: 1 },
  reevaluates: true,
  domainLimit: 5,
  natPortLimit: 3,
}
