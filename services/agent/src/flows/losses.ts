import type { Health } from '@margay/kit/component'
import type { Reporter } from '@margay/kit/reporter'

/** What the kernel could not hand over because a receive buffer was full: counted, and told by health for some time. */
export interface Losses {
  /** `lost` packets were logged in vain; the kernel said so `overruns` times. */
  log(lost: number, overruns: number): void
  /** Ends of connections were told in vain, nobody knows how many. */
  connections(overruns: number): void
  health(): Health
}

/** How long health tells of the last loss, milliseconds: longer than the interval of heartbeats and of flow logs. */
const memoryMs = 10 * 60_000

/** Makes a memory of no loss. */
export function createLosses(deps: { readonly reporter: Reporter; readonly now: () => number }): Losses {
  const { reporter, now } = deps
  const overruns = reporter.counter(
    'kernel_overruns_total',
    'times the kernel dropped events because its buffer was full',
    ['source'],
  )
  const recent = { packets: 0, log: 0, connections: 0 }
  let last = Number.NEGATIVE_INFINITY

  function noted(): void {
    if (now() - last > memoryMs) reporter.log.warn('the kernel has more to tell than the agent can read in time')
    last = now()
  }

  return {
    log(lost, times) {
      overruns.inc({ source: 'log' }, times)
      if (lost + times === 0) return
      noted()
      recent.packets += lost
      recent.log += times
    },
    connections(times) {
      overruns.inc({ source: 'connections' }, times)
      if (times === 0) return
      noted()
      recent.connections += times
    },
    health() {
      if (now() - last > memoryMs) {
        Object.assign(recent, { packets: 0, log: 0, connections: 0 })
        return { state: 'ok' }
      }
      const reasons: string[] = []
      if (recent.packets + recent.log > 0)
        reasons.push(
          `the kernel dropped ${recent.packets} logged packets: denied ones are missing from flow logs, allowed connections are counted but may show the rules of present policy`,
        )
      if (recent.connections > 0)
        reasons.push(
          `the kernel dropped ends of connections ${recent.connections} times: what a connection sent in its last seconds may be missing`,
        )
      return { state: 'degraded', reason: reasons.join('; ') }
    },
  }
}
