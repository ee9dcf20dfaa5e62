import { createReporter } from '@margay/kit/reporter'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCallers } from '../src/callers.ts'
import { parseDocuments } from '../src/manifests/documents.ts'
import { makePlan } from '../src/manifests/plan.ts'
import type { Contact, Target } from '../src/network.ts'

const plan = (calls: string) =>
  makePlan(
    parseDocuments(
      `
apiVersion: v1
kind: Pod
metadata: {name: a, annotations: {margay.dev/lab-calls: "${calls}"}}
spec: {containers: [{name: a, image: x}]}
`,
      'test',
    ),
    { id: 'tst', nodes: 1 },
  )

describe('the callers', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  function aNetwork(answer: () => Promise<Contact>) {
    const made: Target[] = []
    const network = {
      connect(_caller: unknown, target: Target) {
        made.push(target)
        return answer()
      },
    }
    const callers = createCallers({ network, reporter: createReporter('lab', { level: 'silent' }), random: () => 0.5 })
    return { made, callers }
  }
  const contact = (error: string | null): Contact => ({
    ok: error === null,
    error,
    address: '1.1.1.1',
    sourcePort: 1,
    latencyMs: 1,
  })

  it('call as often as the manifest says, from the start to the end', async () => {
    const { made, callers } = aNetwork(async () => contact(null))
    callers.update(plan('tcp://b:1 every 10s'))
    await vi.advanceTimersByTimeAsync(20_000)
    expect(made).toHaveLength(0)
    await callers.start?.()
    await vi.advanceTimersByTimeAsync(40_000)
    expect(made).toHaveLength(4)
    expect(callers.records('default/a')).toEqual([
      { url: 'tcp://b:1', everyMs: 10_000, made: 4, failed: 0, error: null },
    ])
    await callers.stop?.()
    await vi.advanceTimersByTimeAsync(40_000)
    expect(made).toHaveLength(4)
  })

  it('go on undisturbed when other calls come and go', async () => {
    const { made, callers } = aNetwork(async () => contact('timed out'))
    callers.update(plan('tcp://b:1 every 10s; tcp://c:1 every 10s'))
    await callers.start?.()
    await vi.advanceTimersByTimeAsync(14_000)
    callers.update(plan('tcp://b:1 every 10s; tcp://d:1 every 10s'))
    await vi.advanceTimersByTimeAsync(2_000)
    expect(made.map(({ host }) => host)).toEqual(['b', 'c', 'b'])
    expect(callers.records('default/a').map(({ url, failed, error }) => [url, failed, error])).toEqual([
      ['tcp://b:1', 2, 'timed out'],
      ['tcp://d:1', 0, null],
    ])
  })

  it('do not pile up when nobody answers', async () => {
    const { made, callers } = aNetwork(() => new Promise(() => {}))
    callers.update(plan('tcp://b:1 every 10ms'))
    await callers.start?.()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(made).toHaveLength(32)
    await callers.stop?.()
  })
})
