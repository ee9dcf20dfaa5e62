import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Attempt, DeliveryError } from '@margay/alerts/delivery'
import { createSlackReceiver, type SlackConfig } from '@margay/alerts/receivers/slack'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SlackFault, type SlackHarness, type SlackMessage, startSlack } from '../../../../test/harness/slack.ts'
import { aMessage } from '../message-sample.ts'

describe('a post to Slack', () => {
  let slack: SlackHarness
  let dir: string
  beforeAll(async () => {
    slack = await startSlack('xoxb-right')
    dir = mkdtempSync(join(tmpdir(), 'margay-slack-'))
    writeFileSync(join(dir, 'token'), 'xoxb-right\n')
    writeFileSync(join(dir, 'wrong'), 'xoxb-wrong\n')
  })
  afterAll(async () => {
    await slack.stop()
    rmSync(dir, { recursive: true })
  })
  beforeEach(() => {
    ;(slack.messages as SlackMessage[]).length = 0
    slack.faults.length = 0
  })

  const receiver = (rest: Partial<SlackConfig> = {}) =>
    createSlackReceiver(
      {
        name: 'team',
        channel: 'C0ALERTS',
        tokenFile: join(dir, 'token'),
        apiUrl: slack.url,
        minSeverity: 1,
        timeoutMs: 1000,
        ...rest,
      },
      { cluster: 'c1' },
    )
  const attempt = (rest: Partial<Attempt> = {}): Attempt => ({
    queuedAt: Date.now(),
    isUncertain: false,
    recipients: null,
    ...rest,
  })
  const failure = async (rest: Partial<SlackConfig> = {}, fault?: SlackFault, message = aMessage()) => {
    if (fault !== undefined) slack.faults.push(fault)
    const outcome = await receiver(rest)
      .send(message, attempt())
      .catch((error: DeliveryError) => error)
    if (!(outcome instanceof Error)) throw new Error('the message was taken')
    return outcome
  }

  it('has text for notifications, blocks for readers and its identity in the metadata', async () => {
    expect(await receiver().send(aMessage(), attempt())).toMatchObject({ channel: 'C0ALERTS', ts: expect.any(String) })
    const [message] = slack.messages
    expect(message?.text).toContain('pod default/centos attempted access')
    expect(message?.blocks.map(({ type }) => type)).toEqual(['header', 'section', 'section', 'context'])
    expect(message?.metadata).toEqual({ event_type: 'margay_alert', event_payload: { key: 'e1' } })
  })

  it('stays inside the limits of Block Kit whatever the values are', async () => {
    const long = '\u{1F6A8}<!channel> & more '.repeat(2000)
    const facts = Array.from({ length: 40 }, (_, index) => ({ label: `label ${index}`, value: long }))
    await receiver().send(aMessage({ subject: long, text: long, facts }), attempt())
    const [message] = slack.messages
    expect(message?.text).not.toContain('<!channel>')
    expect(JSON.stringify(message?.blocks)).not.toMatch(/"mrkdwn"|[\ud800-\udbff](?![\udc00-\udfff])/)
  })

  it.each([
    ['429 with Retry-After', { kind: 'rate', retryAfter: 7 }, { kind: 'rate', retryAfterMs: 7000 }],
    ['429 without Retry-After', { kind: 'rate' }, { kind: 'rate', retryAfterMs: null }],
    ['500', { kind: 'status', status: 500 }, { kind: 'ambiguous' }],
    ['no answer', { kind: 'hang', taken: false }, { kind: 'ambiguous' }],
    ['a cut connection', { kind: 'reset', taken: true }, { kind: 'ambiguous' }],
    ['ratelimited', { kind: 'refusal', error: 'ratelimited' }, { kind: 'rate' }],
    ['is_archived', { kind: 'refusal', error: 'is_archived' }, { kind: 'permanent' }],
    ['internal_error', { kind: 'refusal', error: 'internal_error' }, { kind: 'ambiguous' }],
  ] as const)('that meets %s is not retried by the client', async (_what, fault, expected) => {
    const calls = slack.calls.length
    expect(await failure({}, fault)).toMatchObject(expected)
    expect(slack.calls.length).toBe(calls + 1)
  })

  it('is refused for good with a wrong token or an unknown channel, and the token is never shown', async () => {
    const wrong = await failure({ tokenFile: join(dir, 'wrong') })
    expect(wrong).toMatchObject({ kind: 'permanent', message: expect.stringContaining('invalid_auth') })
    expect(JSON.stringify([wrong, wrong.message, wrong.stack])).not.toContain('xoxb')
    expect(await failure({ channel: 'no-such' })).toMatchObject({ kind: 'permanent' })
    expect(await failure({ tokenFile: join(dir, 'absent') })).toMatchObject({ kind: 'permanent' })
  })

  it('is transient when nobody listens', async () => {
    const gone = await startSlack('')
    await gone.stop()
    expect(await failure({ apiUrl: gone.url })).toMatchObject({ kind: 'transient' })
  })

  it('that may have arrived is looked for before it is posted again', async () => {
    const to = receiver()
    for (const fault of [
      { kind: 'reset', taken: true },
      { kind: 'hang', taken: false },
    ] as const) {
      slack.faults.push(fault)
      const message = aMessage({ key: fault.kind })
      await expect(to.send(message, attempt())).rejects.toMatchObject({ kind: 'ambiguous' })
      await to.send(message, attempt({ isUncertain: true }))
    }
    expect(
      slack.messages.map(({ metadata }) => (metadata as { event_payload: { key: string } }).event_payload.key),
    ).toEqual(['reset', 'hang'])
  })
})
