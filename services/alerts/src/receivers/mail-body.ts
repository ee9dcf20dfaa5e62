import { type Message, severityName } from '../message.ts'

/** The mail as plain text. */
export function textBody(message: Message, cluster: string): string {
  return [
    message.text,
    '',
    ...headLines(message, cluster).map(({ label, value }) => `${label}: ${value}`),
    '',
    ...message.facts.map(({ label, value }) => `${label}: ${value}`),
  ].join('\n')
}

/** The mail as HTML: no pictures, no links, nothing to fetch; every value is escaped. */
export function htmlBody(message: Message, cluster: string): string {
  const row = ({ label, value }: { label: string; value: string }) =>
    `<tr><th style="text-align:left;padding:2px 12px 2px 0;color:#555">${escapeHtml(label)}</th><td>${escapeHtml(value)}</td></tr>`
  return [
    '<!doctype html><html><body style="font-family:sans-serif;font-size:14px;color:#111">',
    `<p style="font-size:16px;white-space:pre-wrap">${escapeHtml(message.text)}</p>`,
    `<table style="border-collapse:collapse">${headLines(message, cluster).map(row).join('')}</table>`,
    message.facts.length === 0
      ? ''
      : `<hr><table style="border-collapse:collapse">${message.facts.map(row).join('')}</table>`,
    '</body></html>',
  ].join('')
}

function headLines(message: Message, cluster: string): { label: string; value: string }[] {
  return [
    { label: 'alert', value: message.alert },
    { label: 'severity', value: `${severityName(message.severity)} (${message.severity})` },
    { label: 'cluster', value: cluster },
    { label: 'time', value: new Date(message.time).toISOString() },
    ...(message.isRepeat ? [{ label: 'note', value: 'reminder: the condition still holds' }] : []),
    ...(message.isSimulated ? [{ label: 'note', value: 'simulated: judged by the lab, seen by no kernel' }] : []),
    { label: message.total === 1 ? 'event' : 'first event', value: message.eventIds[0] ?? '' },
  ]
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return text.replace(/[&<>"']/g, (character) => entities[character] as string)
}
