import {
  choice,
  counter,
  type EventOf,
  json,
  keyword,
  keywords,
  optional,
  severity,
  text,
  time,
  word,
} from './column.ts'
import { common, defineEvent } from './event.ts'

/** One step in the delivery of one message to one receiver; the inbox is a receiver too. */
export const notification = defineEvent({
  kind: 'notification',
  version: 1,
  table: 'notifications',
  dataSet: 'notifications',
  timeColumn: 'time',
  retentionDays: 91,
  orderBy: ['cluster', 'toStartOfHour(time)', 'receiver', 'time', 'id'],
  doc: 'messages sent about alert events, with the outcome of each attempt',
  columns: {
    ...common,
    id: text('identity of the message; every step of its delivery has the same'),
    time: time('when the step happened'),
    alert: keyword('name of the alert, feed or detector that the message is about'),
    group: optional(text('the group of the alert, as text')),
    event_ids: keywords('identities of the alert events told of', { codec: 'ZSTD(1)' }),
    receiver: keyword('name of the receiver'),
    channel: word(['inbox', 'email', 'slack', 'webhook', 'jira', 'alertmanager'], 'kind of receiver'),
    state: choice(['queued', 'sent', 'failed'], 'queued: not yet tried or to be tried again; sent; failed: given up'),
    attempts: counter('deliveries tried so far'),
    error: optional(text('why the last attempt failed; empty when it did not')),
    severity: severity('greatest severity of the events, 1 to 100'),
    subject: text('title of the message'),
    body: optional(text('text of the message')),
    details: optional(json('what the receiver answered, and what the message links to')),
  },
})

/** What became of one message to one receiver. */
export type NotificationEvent = EventOf<typeof notification.columns>
