import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createReporter } from '@margay/kit/reporter'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ConntrackEntry } from '../../src/netlink/conntrack.ts'
import { createConnectionCutter } from '../../src/node/connection-cutter.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from '../node.ts'
import { startTraffic } from '../probes.ts'

const reason = whyNot()
if (reason !== null) console.warn(`connection cutter test skipped: ${reason}`)

describe.skipIf(reason !== null)('connections that stand', { timeout: 30_000 }, () => {
  let node: TestNode
  const children: ChildProcess[] = []
  const at = (index: number) => node.pods[index] as TestPod

  beforeAll(async () => {
    node = createTestNode(3)
    node.run('nft', 'add table inet tracking')
    node.run('nft', 'add chain inet tracking forward { type filter hook forward priority 0; }')
    node.run('nft', 'add rule inet tracking forward ct state established accept')
    const server = startTraffic(at(1), 'serve', '80')
    children.push(server)
    await once(server.stdout as NodeJS.ReadableStream, 'data')
  })
  afterAll(() => {
    for (const child of children) child.kill()
    node?.remove()
  })

  async function hold(from: TestPod, to: string): Promise<void> {
    const child = startTraffic(from, 'hold', to, '80')
    children.push(child)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }
  const standing = (ip: string) =>
    node
      .run('conntrack', '-L', ...(ip.includes(':') ? ['-f', 'ipv6'] : []), '-p', 'tcp', '--state', 'ESTABLISHED')
      .split('\n')
      .filter((line) => line.includes(`src=${ip} `) && !line.includes('TIME_WAIT')).length

  test('are counted when policy would deny them now, and cut only when that is asked for', async () => {
    await hold(at(0), at(1).ip)
    await hold(at(2), at(1).ip)
    const isDenied = ({ original }: ConntrackEntry) => original.source === at(0).ip
    for (const cuts of [false, true]) {
      const reporter = createReporter('agent', { level: 'fatal' })
      const cutter = createConnectionCutter({ netns: node.netns, cuts }, { isDenied, reporter })
      await cutter.start?.()
      cutter.policyChanged()
      if (cuts) await expect.poll(() => standing(at(0).ip), { timeout: 10_000 }).toBe(0)
      else await expect.poll(() => cutter.denied, { timeout: 10_000 }).toBe(1)
      expect(standing(at(2).ip)).toBe(1)
      expect(standing(at(0).ip)).toBe(cuts ? 0 : 1)
      if (!cuts)
        expect(cutter.health?.()).toMatchObject({ state: 'ok', reason: expect.stringContaining('1 connections') })
      await cutter.stop?.()
    }
  })

  test('are forgotten when the address of one of their ends leaves, in both address families', async () => {
    await hold(at(0), at(1).ip)
    await hold(at(0), at(1).ip6)
    const cutter = createConnectionCutter(
      { netns: node.netns, cuts: false },
      { isDenied: () => false, reporter: createReporter('agent', { level: 'fatal' }) },
    )
    await cutter.start?.()
    expect([standing(at(0).ip), standing(at(0).ip6), standing(at(2).ip)]).toEqual([1, 1, 1])
    cutter.left([at(0).ip])
    expect([standing(at(0).ip), standing(at(0).ip6), standing(at(2).ip)]).toEqual([0, 1, 1])
    // It is the other end of these.
    cutter.left([at(1).ip, at(1).ip6])
    expect([standing(at(0).ip6), standing(at(2).ip)]).toEqual([0, 0])
    await cutter.stop?.()
  })
})
