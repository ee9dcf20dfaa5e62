import { createState } from '@margay/kit/state'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'

async function aState(log = createMemoryLog()) {
  const state = createState('state', { log })
  await state.start?.()
  return { log, state }
}
const event = { topic: 'events', key: null, value: Buffer.from('e') }

describe('the state of a service', () => {
  it('is there again after a restart, deletions included', async () => {
    const { log, state } = await aState()
    await state.write(
      new Map<string, unknown>([
        ['a/1', { n: 1 }],
        ['a/2', { n: 2 }],
        ['b/1', 'x'],
      ]),
    )
    await state.write(new Map([['a/1', undefined]]))
    const again = (await aState(log)).state
    expect(again.keys('a/')).toEqual(['a/2'])
    expect(again.get('a/2')).toEqual({ n: 2 })
    expect(again.get('a/1')).toBeUndefined()
  })

  it('changes together with other records or not at all', async () => {
    const { log, state } = await aState()
    log.fail('before')
    await expect(state.write(new Map([['k', 1]]), [event])).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
    log.fail('never')
    await state.sync()
    expect(state.get('k')).toBeUndefined()
    expect(log.records('events')).toEqual([])
    await state.write(new Map([['k', 2]]), [event])
    expect(log.records('events')).toHaveLength(1)
  })

  it('learns by reading again that a write which failed was taken after all', async () => {
    const { log, state } = await aState()
    log.fail('after')
    await expect(state.write(new Map([['k', 1]]))).rejects.toThrow()
    log.fail('never')
    expect(state.get('k')).toBeUndefined()
    await state.sync()
    expect(state.get('k')).toBe(1)
  })

  it('loses no write that is made while it is read again', async () => {
    const { log, state } = await aState()
    log.fail('after')
    await state.write(new Map([['k', 1]])).catch(() => {})
    log.fail('never')
    await Promise.all([state.sync(), state.write(new Map([['k', 2]])), state.sync()])
    expect(state.get('k')).toBe(2)
  })
})
