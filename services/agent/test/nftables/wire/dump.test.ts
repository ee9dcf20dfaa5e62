import { expect, test } from 'vitest'
import { encodeRequest } from '../../../src/netlink/message.ts'
import { dump, textAttribute, textOf } from '../../../src/nftables/wire/dump.ts'

const chainMessage = 0xa03
const done = 3
const error = 2

function message(type: number, sequence: number, flags: number, name: string): Buffer {
  return encodeRequest({ type, flags, sequence, family: 1, resource: 0, attributes: [textAttribute(3, name)] })
}

function errorMessage(sequence: number, errno: number): Buffer {
  const bytes = message(error, sequence, 0, 'x'.repeat(15))
  bytes.writeInt32LE(-errno, 16)
  return bytes
}

/** A socket that gives for each request what the kernel told; requests get numbers from 1 on. */
function dumping(...answers: (Buffer | 'overrun')[][]) {
  const queue: (Buffer | 'overrun')[] = []
  let asked = 0
  let sequence = 0
  const socket = {
    send: () => void queue.push(...(answers[asked++] ?? [])),
    receive: () => queue.shift() ?? null,
  }
  return () => dump(socket, 0xa04, [], () => ++sequence).map((told) => textOf(told.get(3)))
}

test('what the kernel tells is read to the end, over several datagrams', () => {
  const read = dumping([
    Buffer.concat([message(chainMessage, 1, 2, 'a'), message(chainMessage, 1, 2, 'b')]),
    message(chainMessage, 9, 2, 'of another request'),
    message(chainMessage, 1, 2, 'c'),
    message(done, 1, 2, ''),
  ])
  expect(read()).toEqual(['a', 'b', 'c'])
})

test('a dump that a change disturbed, or that lost messages, is asked for again', () => {
  const interrupted = 2 | 0x10
  const read = dumping(
    [message(chainMessage, 1, interrupted, 'a'), message(done, 1, interrupted, '')],
    [message(chainMessage, 2, 2, 'a'), 'overrun', message(done, 2, 2, '')],
    [message(chainMessage, 3, 2, 'a'), message(chainMessage, 3, 2, 'b'), message(done, 3, 2, '')],
  )
  expect(read()).toEqual(['a', 'b'])
  const always = Array.from({ length: 9 }, (_, index) => [message(done, index + 1, interrupted, '')])
  expect(dumping(...always)).toThrow('change faster than they can be listed')
})

test('of a table that is not there nothing is told; other errors are errors, silence too', () => {
  expect(dumping([errorMessage(1, 2)])()).toEqual([])
  expect(dumping([errorMessage(1, 1)])).toThrow('errno 1')
  expect(dumping([])).toThrow('does not answer')
})
