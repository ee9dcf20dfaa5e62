import { encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { stableId } from '@margay/kit/identity'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import type { KeyedState } from '@margay/kit/state'
import { snapshot as definition } from '@margay/schemas'
import { dueSnapshot, snapshotEvents } from './snapshot.ts'

/** Takes the daily snapshot when it is due, and one at once when that of today is missing. */
export interface Snapshotter extends Component {
  runDue(): Promise<void>
}

const stateKey = 'snapshot'
/** A cluster that is just being set up is let come to rest, ms; a snapshot of its first half would say little. */
const restMs = 10_000
const patienceMs = 120_000

interface Taken {
  readonly due: number
  readonly time: number
}

/** Makes the snapshotter. `hour` is the UTC hour of the daily snapshot. */
export function createSnapshotter(
  config: { readonly hour: number; readonly cluster: string; readonly host: string },
  deps: { readonly resources: ResourceCache; readonly state: KeyedState; readonly reporter: Reporter; now(): number },
): Snapshotter {
  const { resources, state, reporter, now } = deps
  const objects = reporter.counter('snapshot_objects_total', 'objects written to snapshots')
  let version = -1
  let changedAt = 0
  let waitingSince: number | undefined

  return {
    name: 'snapshotter',
    async runDue() {
      const due = dueSnapshot(config.hour, now())
      if ((state.get<Taken>(stateKey)?.due ?? -1) >= due) return
      if (resources.version !== version) {
        version = resources.version
        changedAt = now()
      }
      waitingSince ??= now()
      if (now() - changedAt < restMs && now() - waitingSince < patienceMs) return
      await state.sync()
      const time = now()
      const { cluster, host } = config
      const events = snapshotEvents(resources.list(), {
        id: stableId('snapshot', cluster, String(due)),
        time,
        cluster,
        host,
      })
      if (events.length === 0) return
      await state.write(
        new Map([[stateKey, { due, time } satisfies Taken]]),
        encodeBlocks(definition, events, { cluster, producer: `compliance/${host}` }),
      )
      waitingSince = undefined
      objects.inc(events.length)
      reporter.log.info({ objects: events.length }, 'snapshot taken')
    },
  }
}
