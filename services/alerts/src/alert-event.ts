import { stableId } from '@margay/kit/identity'
import { type AlertEvent, event as definition, renderTemplate, templateVariables, valueAt } from '@margay/schemas'
import type { Alert } from './alert.ts'
import type { Hit } from './hit.ts'
import type { Window } from './windows.ts'

/** How the endpoints of other data sets are called in an alert event. */
const endpointFields: readonly [prefix: string, to: string][] = [
  ['client_', 'source_'],
  ['src_', 'source_'],
  ['source_', 'source_'],
  ['dest_', 'dest_'],
]

/**
 * The event of a hit (spec 1.8). Its id follows from alert, group and window: the same hit found again, after a crash
 * or by a second evaluator, is the same event.
 */
export function alertEvent(
  alert: Alert,
  hit: Hit,
  at: { readonly window: Window; readonly now: number; readonly cluster: string; readonly host: string },
): AlertEvent {
  return {
    cluster: at.cluster,
    host: typeof hit.record.host === 'string' && hit.record.host !== '' ? hit.record.host : at.host,
    ...(hit.isSimulated ? { simulated: true } : {}),
    id: stableId('event', alert.uid, hit.fingerprint, String(at.window.to)),
    time: at.now,
    type: 'global_alert',
    origin: alert.name,
    name: alert.name,
    description: renderTemplate(alert.summary, templateValues(alert.summary, hit.record)),
    severity: alert.severity,
    start_time: Math.max(0, at.window.from),
    end_time: at.window.to,
    ...endpoints(hit.record),
    record: hit.record,
  }
}

/** Rows of some data sets are nested: a dotted name is then a path. */
function templateValues(summary: string, record: Hit['record']): Record<string, unknown> {
  const names = templateVariables(summary)
  return Object.fromEntries(names.map((name) => [name, record[name] ?? valueAt(record, name.split('.'))]))
}

function endpoints(record: Readonly<Record<string, unknown>>): Partial<AlertEvent> {
  const found: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(record)) {
    const renamed = endpointFields.find(([prefix]) => field.startsWith(prefix))
    if (renamed === undefined || value === null || value === '') continue
    const name = `${renamed[1]}${field.slice(renamed[0].length)}`
    if (name in definition.columns) found[name] = value
  }
  return found as Partial<AlertEvent>
}
