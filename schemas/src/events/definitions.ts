import { event } from './alert-event.ts'
import { audit } from './audit.ts'
import { dns } from './dns.ts'
import type { EventDefinition } from './event.ts'
import { flow } from './flow.ts'
import { l7 } from './l7.ts'
import { notification } from './notification.ts'
import { report } from './report.ts'
import { snapshot } from './snapshot.ts'
import { status } from './status.ts'

/** Every kind of event, in the order of documentation. */
export const definitions: readonly EventDefinition[] = [
  flow,
  dns,
  l7,
  audit,
  event,
  notification,
  status,
  snapshot,
  report,
]

/** The definition of a kind (`flow`), a data set or a table (`flows`); null when there is none. */
export function definitionOf(name: string): EventDefinition | null {
  return definitions.find((one) => one.kind === name || one.dataSet === name || one.table === name) ?? null
}
