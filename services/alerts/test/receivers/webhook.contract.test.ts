import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeliveryError } from '@margay/alerts/delivery'
import { createWebhookReceiver, type WebhookConfig } from '@margay/alerts/receivers/webhook'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  startWebhook,
  type WebhookCall,
  type WebhookFault,
  type WebhookHarness,
} from '../../../../test/harness/webhook.ts'
import { aMessage } from '../message-sample.ts'

describe('a post to a webhook', () => {
  let hook: WebhookHarness
  let dir: string
  beforeAll(async () => {
    hook = await startWebhook()
    dir = mkdtempSync(join(tmpdir(), 'margay-webhook-'))
    writeFileSync(join(dir, 'token'), 'first\n')
  })
  afterAll(async () => {
    await hook.stop()
    rmSync(dir, { recursive: true })
  })
  beforeEach(() => {
    ;(hook.calls as WebhookCall[]).length = 0
    hook.faults.length = 0
  })

  const attempt = { queuedAt: 0, isUncertain: false, recipients: null }
  const receiver = (rest: Partial<WebhookConfig> = {}) =>
    createWebhookReceiver({ name: 'hook', url: hook.url, minSeverity: 1, timeoutMs: 1000, ...rest }, { cluster: 'c1' })
  const failure = async (rest: Partial<WebhookConfig> = {}, fault?: WebhookFault) => {
    if (fault !== undefined) hook.faults.push(fault)
    const outcome = await receiver(rest)
      .send(aMessage(), attempt)
      .catch((error: DeliveryError) => error)
    if (!(outcome instanceof Error)) throw new Error('the message was taken')
    return outcome
  }

  it('is JSON that a program can act on, with the identity of the message', async () => {
    expect(await receiver().send(aMessage(), attempt)).toEqual({ status: 204 })
    expect(hook.calls).toHaveLength(1)
    const { headers, body } = hook.calls[0] as WebhookCall
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'idempotency-key': 'e1' })
    expect(headers.authorization).toBeUndefined()
    expect(body).toEqual({
      id: 'e1',
      origin: 'network.lateral.access',
      description: 'pod default/centos attempted access to a monitored pod',
      subject: '[Critical] network.lateral.access: source_namespace=default',
      severity: 100,
      time: '2026-03-01T10:00:00.000Z',
      cluster: 'c1',
      event_ids: ['e1'],
      total: 1,
      repeat: false,
      simulated: false,
      record: { source_namespace: 'default', sum: '2' },
    })
  })

  it('bears the token that its file holds at that moment', async () => {
    const to = receiver({ tokenFile: join(dir, 'token') })
    await to.send(aMessage(), attempt)
    writeFileSync(join(dir, 'token'), 'second\n')
    await to.send(aMessage(), attempt)
    expect(hook.calls.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second'])
    expect(await failure({ tokenFile: join(dir, 'absent') })).toMatchObject({ kind: 'permanent' })
  })

  it.each([
    ['429 with Retry-After', { kind: 'status', status: 429, headers: { 'retry-after': '7' } }, 'rate', 7000],
    ['429 without Retry-After', { kind: 'status', status: 429 }, 'rate', null],
    ['503 with Retry-After', { kind: 'status', status: 503, headers: { 'retry-after': '2' } }, 'rate', 2000],
    ['500', { kind: 'status', status: 500 }, 'ambiguous', null],
    ['408', { kind: 'status', status: 408 }, 'ambiguous', null],
    ['404', { kind: 'status', status: 404 }, 'permanent', null],
    ['a redirection', { kind: 'status', status: 307, headers: { location: '/elsewhere' } }, 'permanent', null],
    ['no answer', { kind: 'hang' }, 'ambiguous', null],
    ['a cut connection', { kind: 'reset' }, 'ambiguous', null],
  ] as const)(
    'that meets %s is tried once and sorted by what a second try may do',
    async (_what, fault, kind, wait) => {
      expect(await failure({}, fault)).toMatchObject({ kind, retryAfterMs: wait })
      expect(hook.calls).toHaveLength(1)
    },
  )

  it('is transient when nobody listens; the reason shows no path of the address', async () => {
    const gone = await startWebhook()
    await gone.stop()
    const error = await failure({ url: `${gone.url}/secret?key=secret` })
    expect(error.kind).toBe('transient')
    expect(error.message).not.toContain('secret')
  })
})
