import type { AlertEvent } from '@margay/schemas'
import type { Alert } from './alert.ts'
import { groupText, type Hit, textOf } from './hit.ts'

/** What a person is told, before any receiver gives it a form. */
export interface Message {
  /** Identity of what happened; the same however often and to whomever it is sent. */
  readonly key: string
  readonly alert: string
  /** The group as text; empty for a single row or a digest. */
  readonly group: string
  /** At most 100 events; `total` counts all. */
  readonly eventIds: readonly string[]
  readonly total: number
  readonly severity: number
  /** Unix ms. */
  readonly time: number
  readonly subject: string
  readonly text: string
  readonly facts: readonly { readonly label: string; readonly value: string }[]
  readonly isRepeat: boolean
  readonly isSimulated: boolean
}

/** An event with the hit that raised it. */
export interface Raised {
  readonly event: AlertEvent
  readonly hit: Hit
  readonly isRepeat: boolean
}

/** Above this a run sends one digest instead of a message for each group: a storm must not drown its reader. */
const maxMessages = 10
const maxListed = 20
const maxEventIds = 100

/** Critical, High, Medium or Low (spec 1.8). */
export function severityName(severity: number): string {
  if (severity >= 90) return 'Critical'
  if (severity >= 70) return 'High'
  return severity >= 40 ? 'Medium' : 'Low'
}

/** The messages of one run: one for each event, or one digest of all. */
export function messagesOf(alert: Alert, raised: readonly Raised[]): Message[] {
  return raised.length > maxMessages ? [digestOf(alert, raised)] : raised.map((each) => messageOf(alert, each))
}

function messageOf(alert: Alert, { event, hit, isRepeat }: Raised): Message {
  const facts = Object.entries(hit.record)
    .filter(([, value]) => textOf(value) !== '')
    .slice(0, 12)
    .map(([label, value]) => ({ label, value: clean(textOf(value), 500) }))
  const group = clean(groupText(hit), 200)
  return {
    key: event.id,
    alert: alert.name,
    group,
    eventIds: [event.id],
    total: 1,
    severity: alert.severity,
    time: event.time,
    // What happened, in the words of the alert's author: the group alone reads like a row of a table.
    subject: subjectOf(alert, event.description),
    text: clean(event.description, 2000),
    facts,
    isRepeat,
    isSimulated: hit.isSimulated,
  }
}

function digestOf(alert: Alert, raised: readonly Raised[]): Message {
  const first = raised[0] as Raised
  const listed = raised.slice(0, maxListed).map(({ event }) => `- ${clean(event.description, 200)}`)
  const more = raised.length - listed.length
  return {
    key: `${first.event.id}+${raised.length - 1}`,
    alert: alert.name,
    group: '',
    eventIds: raised.slice(0, maxEventIds).map(({ event }) => event.id),
    total: raised.length,
    severity: alert.severity,
    time: first.event.time,
    subject: subjectOf(alert, `${raised.length} events`),
    text: [`${raised.length} events at once:`, ...listed, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
    facts: [],
    isRepeat: raised.every(({ isRepeat }) => isRepeat),
    isSimulated: raised.some(({ hit }) => hit.isSimulated),
  }
}

function subjectOf(alert: Alert, what: string): string {
  return clean(`[${severityName(alert.severity)}] ${alert.name}: ${what}`, 200).replaceAll('\n', ' ')
}

/**
 * Text from outside made harmless for people: control and direction-changing characters become spaces,
 * and what is longer than `limit` code points ends in an ellipsis.
 */
export function clean(text: string, limit: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (c) =>
    c === '\n' ? c : ' ',
  )
  const points = Array.from(plain)
  return points.length <= limit ? plain : `${points.slice(0, limit - 1).join('')}…`
}
