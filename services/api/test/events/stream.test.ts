import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createEventStream } from '../../src/events/stream.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function open(options: { queueLimit?: number } = {}) {
  const drops: number[] = []
  const stream = createEventStream({
    queueLimit: 100,
    intervalMs: 250,
    heartbeatMs: 1000,
    onDrop: (count) => drops.push(count),
    ...options,
  })
  const chunks: string[] = []
  return {
    ...stream,
    drops,
    read: () => stream.readable.on('data', (chunk: Buffer) => chunks.push(chunk.toString())),
    /** What was written since the last call. */
    async written(ms: number) {
      await pause(1)
      vi.advanceTimersByTime(ms)
      await pause(1)
      return chunks.splice(0)
    },
  }
}

describe('a stream of server-sent events', () => {
  it('begins at once, so that the client knows it is connected', async () => {
    const stream = open()
    stream.read()
    expect((await stream.written(0)).join('')).toBe(': following\nretry: 2000\n\n')
    stream.readable.destroy()
  })

  it('writes what came in one batch, at most four times a second', async () => {
    const stream = open()
    stream.read()
    await stream.written(0)
    stream.push(['{"a":1}'])
    stream.push(['{"a":2}'])
    expect(await stream.written(249)).toEqual([])
    expect(await stream.written(1)).toEqual(['data: {"a":1}\n\ndata: {"a":2}\n\n'])
    stream.readable.destroy()
  })

  it('sends a comment when nothing came for a while', async () => {
    const stream = open()
    stream.read()
    await stream.written(0)
    expect(await stream.written(750)).toEqual([])
    expect(await stream.written(250)).toEqual([': heartbeat\n\n'])
    stream.readable.destroy()
  })

  it('holds a bounded queue for a client that does not read, and tells how many it missed', async () => {
    const stream = open({ queueLimit: 3 })
    for (let i = 0; i < 10; i += 1) stream.push([`{"i":${i}}`])
    expect(stream.drops.reduce((sum, count) => sum + count, 0)).toBe(7)
    stream.read()
    await stream.written(0)
    expect((await stream.written(250)).join('')).toBe(
      'event: dropped\ndata: {"count":7}\n\ndata: {"i":7}\n\ndata: {"i":8}\n\ndata: {"i":9}\n\n',
    )
    stream.readable.destroy()
  })

  it('stops its clock when it is destroyed', async () => {
    const stream = open()
    stream.readable.destroy()
    await pause(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})
