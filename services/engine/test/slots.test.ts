import { describe, expect, it } from 'vitest'
import { Crowded, createSlots } from '../src/slots.ts'

describe('slots', () => {
  it('lets so many in, the next in order, and turns away whom the line cannot hold', async () => {
    const slots = createSlots(1, 2)
    const order: string[] = []
    const release = await slots.take()
    const enter = async (name: string) => {
      const free = await slots.take()
      order.push(name)
      return free
    }
    const second = enter('second')
    const third = enter('third')
    await expect(slots.take()).rejects.toBeInstanceOf(Crowded)
    release()
    release() // giving back twice gives back once
    ;(await second)()
    ;(await third)()
    expect(order).toEqual(['second', 'third'])
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })

  it('forgets a waiter that leaves', async () => {
    const slots = createSlots(1, 1)
    const release = await slots.take()
    const caller = new AbortController()
    const left = slots.take(caller.signal)
    caller.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    expect(slots.waiting).toBe(0)
    release()
    expect(slots.taken).toBe(0)
  })
})
