import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Attempt, DeliveryError } from '@margay/alerts/delivery'
import { createEmailReceiver, type EmailConfig } from '@margay/alerts/receivers/email'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type SmtpHarness, type SmtpMessage, startSmtp } from '../../../../test/harness/smtp.ts'
import { aMessage } from '../message-sample.ts'

const attempt: Attempt = { queuedAt: 0, isUncertain: false, recipients: null }

describe('mail to a real SMTP server', () => {
  let smtp: SmtpHarness
  beforeAll(async () => {
    smtp = await startSmtp()
  })
  afterAll(() => smtp.stop())
  afterEach(() => {
    ;(smtp.messages as SmtpMessage[]).length = 0
    expect(smtp.faults).toEqual([])
  })

  const config = (rest: Partial<EmailConfig> = {}): EmailConfig => ({
    name: 'team mail',
    host: '127.0.0.1',
    port: smtp.port,
    from: 'margay@example.test',
    to: ['one@example.test', 'two@example.test'],
    tls: 'none',
    minSeverity: 1,
    ...rest,
  })
  const send = (message = aMessage(), rest: Partial<EmailConfig> = {}, how: Partial<Attempt> = {}) =>
    createEmailReceiver(config(rest), { cluster: 'c1' }).send(message, { ...attempt, ...how })
  const failure = (sending: Promise<unknown>) =>
    sending.then(
      () => {
        throw new Error('the mail was taken')
      },
      (error: DeliveryError) => error,
    )

  it('arrives as text and HTML, with a fixed identity and a subject that names severity, alert and group', async () => {
    const answer = await send()
    expect(answer.accepted).toEqual(['one@example.test', 'two@example.test'])
    const [mail] = smtp.messages
    expect(mail?.subject).toBe('[Margay][Critical] network.lateral.access: source_namespace=default')
    expect(mail?.messageId).toBe('<e1.team-mail@margay.invalid>')
    expect(mail?.text).toContain('pod default/centos attempted access')
    expect(mail?.text).toContain('source_namespace: default')
    expect(mail?.html).toContain('<td>network.lateral.access</td>')
    expect(mail?.headers).toContainEqual(expect.objectContaining({ key: 'auto-submitted', value: 'auto-generated' }))
  })

  it('carries hostile values as text: nothing is fetched, linked or smuggled into a header', async () => {
    await send(
      aMessage({
        subject: '[High] x: a\r\nBcc: evil@example.test',
        text: '<img src="http://evil.test/p.gif">\u202etxt',
        facts: [{ label: 'qname', value: '<script>alert(1)</script>' }],
      }),
    )
    const [mail] = smtp.messages
    expect(mail?.envelope.to).toEqual(['one@example.test', 'two@example.test'])
    expect(mail?.headers.map(({ key }) => key)).not.toContain('bcc')
    expect(mail?.html).not.toMatch(/<(img|script|a|link|style)\b/)
    expect(mail?.html).toContain('&lt;script&gt;')
  })

  it.each([
    ['451 at DATA', { at: 'data', code: 451 }, 'transient'],
    ['421 at DATA', { at: 'data', code: 421 }, 'transient'],
    ['554 at DATA', { at: 'data', code: 554 }, 'permanent'],
    ['the connection cut after DATA', { at: 'after-data' }, 'ambiguous'],
  ] as const)('is %s: %s', async (_what, fault, kind) => {
    smtp.faults.push(fault)
    expect((await failure(send())).kind).toBe(kind)
  })

  it('is sent again after an ambiguous end with the same Message-ID', async () => {
    smtp.faults.push({ at: 'after-data' })
    await failure(send())
    await send(aMessage(), {}, { isUncertain: true })
    expect(smtp.messages.map(({ messageId }) => messageId)).toEqual(Array(2).fill('<e1.team-mail@margay.invalid>'))
  })

  it('goes to the other addresses when one is refused for good', async () => {
    smtp.faults.push({ at: 'recipient', code: 550 })
    const answer = await send()
    expect(answer.rejected).toEqual(['one@example.test'])
    expect(smtp.messages[0]?.envelope.to).toEqual(['two@example.test'])
  })

  it('asks to serve later only the address that was put off', async () => {
    smtp.faults.push({ at: 'recipient', code: 450 })
    const error = await failure(send())
    expect([error.kind, error.remaining]).toEqual(['transient', ['one@example.test']])
    await send(aMessage(), {}, { recipients: error.remaining })
    expect(smtp.messages.map(({ envelope }) => envelope.to)).toEqual([['two@example.test'], ['one@example.test']])
  })

  it('is transient when all addresses are put off and when nobody listens', async () => {
    smtp.faults.push({ at: 'recipient', code: 450 })
    expect((await failure(send(aMessage(), { to: ['one@example.test'] }))).kind).toBe('transient')
    const gone = await startSmtp()
    await gone.stop()
    expect((await failure(send(aMessage(), { port: gone.port }))).kind).toBe('transient')
  })

  it('is never sent in clear to a server that lacks the TLS asked for', async () => {
    expect((await failure(send(aMessage(), { tls: 'starttls' }))).kind).toBe('permanent')
    await failure(send(aMessage(), { tls: 'tls' }))
    expect(smtp.messages).toEqual([])
  })
})

describe('mail with a login', () => {
  let smtp: SmtpHarness
  let dir: string
  beforeAll(async () => {
    smtp = await startSmtp({ login: { user: 'margay', password: 'right' } })
    dir = mkdtempSync(join(tmpdir(), 'margay-mail-'))
  })
  afterAll(async () => {
    await smtp.stop()
    rmSync(dir, { recursive: true })
  })

  it('reads the password for each mail and never shows it', async () => {
    const passwordFile = join(dir, 'password')
    const receiver = createEmailReceiver(
      {
        name: 'mail',
        host: '127.0.0.1',
        port: smtp.port,
        from: 'm@example.test',
        to: ['one@example.test'],
        username: 'margay',
        passwordFile,
        tls: 'none',
        minSeverity: 1,
      },
      { cluster: 'c1' },
    )
    const missing = await receiver.send(aMessage(), attempt).catch((error: DeliveryError) => error)
    expect(missing).toMatchObject({ kind: 'permanent', message: expect.stringContaining(passwordFile) })
    writeFileSync(passwordFile, 'wrong-secret\n')
    const wrong = await receiver.send(aMessage(), attempt).catch((error: DeliveryError) => error)
    expect(wrong).toMatchObject({ kind: 'permanent' })
    expect(JSON.stringify([wrong, (wrong as DeliveryError).message])).not.toContain('wrong-secret')
    writeFileSync(passwordFile, 'right\n')
    await receiver.send(aMessage(), attempt)
    expect(smtp.messages).toHaveLength(1)
  })
})
