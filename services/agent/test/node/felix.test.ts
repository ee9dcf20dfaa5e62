import type { Resource } from '@margay/schemas'
import { expect, test } from 'vitest'
import { nodeSettings } from '../../src/node/felix.ts'

const felix = (name: string, spec: Record<string, unknown>): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'FelixConfiguration',
  metadata: { name },
  spec,
})

test('the settings of the node go before the default ones, those before the built-in ones', () => {
  const resources = [
    felix('default', { flowLogsFlushInterval: '15s', flowLogsFileAggregationKindForAllowed: 1, dnsLogsLatency: false }),
    felix('node.a', { flowLogsFlushInterval: '2s', allowVXLANPacketsFromWorkloads: true }),
    felix('node.b', { flowLogsFlushInterval: '3s' }),
  ]
  expect(nodeSettings(resources, 'a', { flowFlushMs: 10_000 })).toMatchObject({
    flowFlushMs: 2000,
    dnsFlushMs: 10_000,
    flows: { levels: { allowed: 1, denied: 1 }, reevaluates: true },
    dnsLatency: false,
    render: { allowVxlan: true, allowIpip: false },
  })
  expect(nodeSettings([], 'a', { flowFlushMs: 10_000 })).toMatchObject({
    flowFlushMs: 10_000,
    flows: { levels: { allowed: 2, denied: 1 }, domainLimit: 5, natPortLimit: 3 },
    dnsAggregation: 1,
    render: { allowVxlan: false },
  })
})

test('a value that makes no sense is as good as none', () => {
  const resources = [felix('default', { flowLogsFlushInterval: 'soon', flowLogsFileAggregationKindForDenied: 9 })]
  expect(nodeSettings(resources, 'a', { flowFlushMs: 1000 })).toMatchObject({
    flowFlushMs: 1000,
    flows: { levels: { denied: 1 } },
  })
})

test('what becomes of denied packets, and how much the kernel logs of packets, is for configuration to say', () => {
  const denialOf = (spec: Record<string, unknown>) =>
    nodeSettings([felix('default', spec)], 'a', { flowFlushMs: 1000 }).render.denial
  expect(denialOf({})).toEqual({
    action: 'drop',
    passes: false,
    isLogged: false,
    logPrefix: 'calico-packet',
    logLimit: 'limit rate 10/second burst 5 packets',
  })
  expect(denialOf({ nftablesFilterDenyAction: 'Reject', dropActionOverride: 'LogAndAccept' })).toMatchObject({
    action: 'reject',
    passes: true,
    isLogged: true,
  })
  expect(denialOf({ dropActionOverride: 'LogAndDrop' })).toMatchObject({ passes: false, isLogged: true })
  expect(denialOf({ logActionRateLimit: '7/minute', logActionRateLimitBurst: 3, logPrefix: 'my "log"' })).toMatchObject(
    {
      logPrefix: 'my__log_',
      logLimit: 'limit rate 7/minute burst 3 packets',
    },
  )
  expect(denialOf({ logActionRateLimit: '600/hour' }).logLimit).toBe('limit rate 10/minute burst 5 packets')
  expect(denialOf({ logActionRateLimit: '5/day' }).logLimit).toBe('limit rate 1/minute burst 5 packets')
  expect(denialOf({ logActionRateLimit: 'a lot' }).logLimit).toBe('limit rate 10/second burst 5 packets')
})
