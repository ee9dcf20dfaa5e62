import type { FlowEvent } from '../events/flow.ts'
import type { TcpSample } from './update.ts'

/** Columns about TCP (spec 4.2.6). The kernel does not tell which time-outs were not recovered from, so `tcp_unrecovered_to` stays away. */
export type TcpColumns = Required<
  Pick<
    FlowEvent,
    | 'tcp_mean_send_congestion_window'
    | 'tcp_min_send_congestion_window'
    | 'tcp_mean_smooth_rtt'
    | 'tcp_max_smooth_rtt'
    | 'tcp_mean_min_rtt'
    | 'tcp_max_min_rtt'
    | 'tcp_mean_mss'
    | 'tcp_min_mss'
    | 'tcp_total_retransmissions'
    | 'tcp_lost_packets'
  >
>

/** What sockets were like over an interval. */
export interface TcpTotals {
  readonly sums: Sums
  add(sample: TcpSample): void
  merge(other: TcpTotals): void
  /** Means over the samples are rounded to whole numbers. */
  columns(): TcpColumns
}

interface Sums {
  samples: number
  window: number
  minWindow: number
  /** Samples whose round trip was measured. */
  measured: number
  rtt: number
  maxRtt: number
  minRtt: number
  maxMinRtt: number
  mss: number
  minMss: number
  retransmissions: number
  lost: number
}

/** Makes totals of no sample. */
export function createTcpTotals(): TcpTotals {
  const sums: Sums = {
    samples: 0,
    window: 0,
    minWindow: Number.POSITIVE_INFINITY,
    measured: 0,
    rtt: 0,
    maxRtt: 0,
    minRtt: 0,
    maxMinRtt: 0,
    mss: 0,
    minMss: Number.POSITIVE_INFINITY,
    retransmissions: 0,
    lost: 0,
  }

  function merge(other: Sums): void {
    sums.samples += other.samples
    sums.window += other.window
    sums.minWindow = Math.min(sums.minWindow, other.minWindow)
    sums.measured += other.measured
    sums.rtt += other.rtt
    sums.maxRtt = Math.max(sums.maxRtt, other.maxRtt)
    sums.minRtt += other.minRtt
    sums.maxMinRtt = Math.max(sums.maxMinRtt, other.maxMinRtt)
    sums.mss += other.mss
    sums.minMss = Math.min(sums.minMss, other.minMss)
    sums.retransmissions += other.retransmissions
    sums.lost += other.lost
  }

  const mean = (sum: number, count: number) => (count === 0 ? 0 : Math.round(sum / count))
  return {
    sums,
    add(sample) {
      const isMeasured = sample.smoothRtt > 0
      merge({
        samples: 1,
        window: sample.congestionWindow,
        minWindow: sample.congestionWindow,
        measured: isMeasured ? 1 : 0,
        rtt: sample.smoothRtt,
        maxRtt: sample.smoothRtt,
        minRtt: isMeasured ? sample.minRtt : 0,
        maxMinRtt: isMeasured ? sample.minRtt : 0,
        mss: sample.mss,
        minMss: sample.mss,
        retransmissions: sample.retransmissions,
        lost: sample.lost,
      })
    },
    merge: (other) => merge(other.sums),
    columns: () => ({
      tcp_mean_send_congestion_window: mean(sums.window, sums.samples),
      tcp_min_send_congestion_window: sums.minWindow,
      tcp_mean_smooth_rtt: mean(sums.rtt, sums.measured),
      tcp_max_smooth_rtt: sums.maxRtt,
      tcp_mean_min_rtt: mean(sums.minRtt, sums.measured),
      tcp_max_min_rtt: sums.maxMinRtt,
      tcp_mean_mss: mean(sums.mss, sums.samples),
      tcp_min_mss: sums.minMss,
      tcp_total_retransmissions: sums.retransmissions,
      tcp_lost_packets: sums.lost,
    }),
  }
}
