import { type EventOf, json, keyword, optional, text, time } from './column.ts'
import { common, defineEvent } from './event.ts'

/** One object as it was when the daily snapshot was taken; with the audit log it tells every later state (spec 3.8). */
export const snapshot = defineEvent({
  kind: 'snapshot',
  version: 1,
  table: 'snapshots',
  dataSet: 'snapshots',
  timeColumn: 'time',
  retentionDays: 91,
  orderBy: ['cluster', 'plural', 'namespace', 'name', 'time'],
  doc: 'resources as they were at each daily snapshot',
  columns: {
    ...common,
    snapshot_id: keyword('identity of the snapshot; every object in it has the same'),
    time: time('when the snapshot was taken; the same for every object in it'),
    kind: keyword('kind of the object, as in NetworkPolicy'),
    plural: keyword('plural with group, as in networkpolicies.projectcalico.org'),
    api_version: keyword('apiVersion of the object'),
    namespace: optional(keyword('namespace of the object; empty if none')),
    name: text('name of the object'),
    uid: optional(text('uid of the object')),
    resource_version: optional(text('resourceVersion of the object')),
    object: json('the object'),
  },
})

/** Resources as they were at one time. */
export type SnapshotEvent = EventOf<typeof snapshot.columns>
