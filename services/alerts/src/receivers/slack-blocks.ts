import { clean, type Message, severityName } from '../message.ts'

/** Blocks together may hold about 13,200 characters before Slack refuses with msg_blocks_too_long; this leaves room. */
const maxText = 2500
const maxFields = 10

const plain = (text: string) => ({ type: 'plain_text' as const, text, emoji: false })

/**
 * The message in Block Kit, inside Slack's limits. Values stand in plain text elements only, which know no markup:
 * no name or label can mention a channel or hide a link.
 */
export function blocksOf(message: Message, cluster: string) {
  const head = [
    severityName(message.severity),
    message.alert,
    cluster,
    new Date(message.time).toISOString(),
    ...(message.isRepeat ? ['reminder: the condition still holds'] : []),
    ...(message.isSimulated ? ['simulated by the lab'] : []),
  ]
  const fields = message.facts.slice(0, maxFields).map(({ label, value }) => plain(clean(`${label}: ${value}`, 300)))
  return [
    { type: 'header' as const, text: plain(shorten(message.subject, 150)) },
    { type: 'section' as const, text: plain(shorten(message.text === '' ? message.alert : message.text, maxText)) },
    ...(fields.length === 0 ? [] : [{ type: 'section' as const, fields }]),
    { type: 'context' as const, elements: [plain(shorten(head.join(' · '), 1000))] },
  ]
}

/** What notifications and screen readers show; here Slack reads markup, so its three signs are escaped. */
export function fallbackText(message: Message): string {
  const text = clean(`${message.subject}\n${message.text}`, 3000)
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Slack counts UTF-16 units; a character outside the first plane counts twice and must not be cut in half. */
function shorten(text: string, units: number): string {
  if (text.length <= units) return text
  let kept = ''
  for (const point of text) {
    if (kept.length + point.length > units - 1) break
    kept += point
  }
  return `${kept}…`
}
