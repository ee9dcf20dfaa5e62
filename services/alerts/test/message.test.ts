import { readAlert } from '@margay/alerts/alert'
import { alertEvent } from '@margay/alerts/alert-event'
import { groupHit, rowHit } from '@margay/alerts/hit'
import { clean, messagesOf, severityName } from '@margay/alerts/message'
import { htmlBody, textBody } from '@margay/alerts/receivers/mail-body'
import { event, validateEvent } from '@margay/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const alert = (spec: object = {}) =>
  readAlert({
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalAlert',
    metadata: { name: 'test', uid: 'u' },
    spec: { description: 'something happened', severity: 70, dataSet: 'dns', ...spec },
  })
const at = { window: { from: 0, to: 60_000 }, now: 61_000, cluster: 'c', host: 'h' }

describe('an alert event', () => {
  it('names endpoints as the other data sets do not, has a fixed id and is valid', () => {
    const made = alertEvent(
      alert({ summary: `${'$'}{client_namespace} asked for ${'$'}{qname} ${'$'}{count} times` }),
      groupHit(
        { client_namespace: 'dev', client_name_aggr: 'centos', client_ip: '10.0.0.1', qname: 'x.test' },
        { count: 3 },
        false,
      ),
      at,
    )
    expect(made).toMatchObject({
      description: 'dev asked for x.test 3 times',
      source_namespace: 'dev',
      source_name_aggr: 'centos',
      source_ip: '10.0.0.1',
      host: 'h',
    })
    expect(validateEvent(event, made)).toBeNull()
    expect(made.id).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('of a nested row renders dotted names and keeps the row', () => {
    const row = { host: 'node1', verb: 'patch', objectRef: { name: 'p' }, user: { username: 'alice' } }
    const made = alertEvent(
      alert({ summary: `${'$'}{user.username} ${'$'}{verb} ${'$'}{objectRef.name}` }),
      rowHit(row, [1]),
      at,
    )
    expect([made.description, made.host, made.record]).toEqual(['alice patch p', 'node1', row])
    expect(validateEvent(event, made)).toBeNull()
  })
})

describe('a message', () => {
  const raise = (group: Record<string, unknown>) => {
    const hit = groupHit(group, {}, false)
    return { event: alertEvent(alert(), hit, at), hit, isRepeat: false }
  }

  it('tells severity, alert and what happened in its subject', () => {
    expect(messagesOf(alert(), [raise({ qname: 'x.test' })])[0]?.subject).toBe('[High] test: something happened')
    expect([1, 39, 40, 69, 70, 89, 90, 100].map(severityName)).toEqual([
      'Low',
      'Low',
      'Medium',
      'Medium',
      'High',
      'High',
      'Critical',
      'Critical',
    ])
  })

  it('is one for each group up to ten, and one for all beyond', () => {
    const many = (count: number) =>
      messagesOf(
        alert(),
        Array.from({ length: count }, (_, index) => raise({ index })),
      )
    expect(many(10)).toHaveLength(10)
    expect(many(11)).toMatchObject([{ total: 11, subject: '[High] test: 11 events' }])
    expect(many(500)[0]?.eventIds).toHaveLength(100)
    expect(many(500)[0]?.text).toContain('and 480 more')
  })

  it('whatever the values, has a subject of one line and no character that hides or turns text, and HTML with no tag of theirs', () => {
    const nasty = fc.oneof(
      fc.array(fc.nat(0xffff), { maxLength: 300 }).map((units) => String.fromCharCode(...units)),
      fc.constantFrom(
        'a\r\nBcc: x',
        '<img src=x>',
        '\u202egnp.exe',
        '\ud800',
        '<!channel>',
        '=cmd|x',
        '`${'.concat('x}`'),
      ),
    )
    fc.assert(
      fc.property(nasty, nasty, (one, two) => {
        const [message] = messagesOf(alert({ summary: one }), [raise({ one, two })])
        if (message === undefined) throw new Error('no message')
        expect(message.subject).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u)
        expect(message.subject).not.toMatch(/\p{Cs}/u)
        expect(Array.from(message.subject).length).toBeLessThanOrEqual(200)
        expect(textBody(message, 'c')).not.toMatch(/\p{Cs}/u)
        const tags = [...htmlBody(message, 'c').matchAll(/<\/?(\w+)/g)].map(([, tag]) => tag)
        expect(
          tags.every((tag) => ['html', 'body', 'p', 'table', 'tr', 'th', 'td', 'hr'].includes(tag as string)),
        ).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  it('cuts by characters, not by halves of them', () => {
    expect(clean('🦊🦊🦊', 2)).toBe('🦊…')
    expect(clean('abc', 3)).toBe('abc')
  })
})
