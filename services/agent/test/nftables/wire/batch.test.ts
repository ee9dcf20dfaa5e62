import { describe, expect, test } from 'vitest'
import { decodeAttributes, decodeMessages } from '../../../src/netlink/message.ts'
import { createAttributeWriter } from '../../../src/nftables/wire/attribute-writer.ts'
import { encodeBatch } from '../../../src/nftables/wire/batch.ts'
import type { TableChange } from '../../../src/nftables/wire/change.ts'
import { createRuleWriter } from '../../../src/nftables/wire/rule.ts'
import { createStatementCompiler } from '../../../src/nftables/wire/statement.ts'

const encode = (changes: readonly TableChange[], commit = true) =>
  encodeBatch(
    { table: 't', writer: createAttributeWriter(64), rules: createRuleWriter(createStatementCompiler('native')) },
    changes,
    { sequence: 5, commit },
  )

/** What nft 1.0.6 sends for these commands, but for the answer that we ask of the last message, and the kernel takes. */
const captured: readonly (readonly [TableChange, string])[] = [
  [{ type: 'table', op: 'add' }, '0100000006000100740000000800020000000000'],
  [{ type: 'chain', op: 'add', chain: 'c', hook: null }, '01000000060001007400000006000300' + '63000000'],
  [
    { type: 'chain', op: 'add', chain: 'pre', hook: 'type filter hook prerouting priority mangle - 5; policy drop;' },
    '01000000060001007400000008000300707265000b00070066696c746572000008000500000000001400048008000100' +
      '0000000008000200ffffff65',
  ],
  [
    { type: 'set', op: 'add', kind: 'set', set: 'i4', spec: 'type ipv4_addr; flags interval;' },
    '010000000600010074000000070002006934000008000300000000040800040000000007080005000000000408000a00' +
      '000000010a000d000004020000000000',
  ],
  [
    {
      type: 'elements',
      op: 'delete',
      kind: 'set',
      set: 'i4',
      spec: 'type ipv4_addr; flags interval;',
      elements: ['11.0.0.1'],
    },
    '01000000060001007400000007000200693400002c0003801000018' +
      '00c000180080001000b0000011800018' +
      '00c000180080001000b0000020800030000000001',
  ],
  [{ type: 'chain', op: 'flush', chain: 'c' }, '01000000060001007400000006000200' + '63000000'],
  [{ type: 'table', op: 'delete' }, '010000000600010074000000'],
]

describe('a batch', () => {
  test.each(captured)('%j is the message that nft sends', (change, hex) => {
    const [begin, message, end] = [...decodeMessages(encode([change]).bytes)]
    expect(begin).toMatchObject({ type: 16, sequence: 5 })
    expect(message?.payload.toString('hex')).toBe(hex)
    expect(end).toMatchObject({ type: 17 })
  })

  test('knows of each message what it is about, and asks for an answer to the last one', () => {
    const batch = encode([
      { type: 'table', op: 'add' },
      { type: 'rules', chain: 'c', rules: [['counter'], ['drop']] },
    ])
    expect(batch).toMatchObject({ firstSequence: 5, lastSequence: 8, places: [0, 0, 1, 0, 1, 1] })
    expect([...decodeMessages(batch.bytes)].map(({ sequence, flags }) => [sequence, flags & 4])).toEqual([
      [5, 0],
      [6, 0],
      [7, 0],
      [8, 4],
      [9, 0],
    ])
  })

  test('that only asks has no end', () => {
    expect([...decodeMessages(encode([{ type: 'table', op: 'add' }], false).bytes)].map(({ type }) => type)).toEqual([
      16, 0xa00,
    ])
  })

  test('spreads many elements over messages whose attributes are never longer than can be told', () => {
    const elements = Array.from({ length: 10_000 }, (_, index) => `10.${index >> 8}.${index & 255}.1`)
    const batch = encode([{ type: 'elements', op: 'add', kind: 'set', set: 's', spec: 'type ipv4_addr;', elements }])
    const keys = [...decodeMessages(batch.bytes)]
      .filter(({ type }) => type === 0xa0c)
      .map(({ payload }) => (decodeAttributes(payload, 4).get(3) as Buffer).length / 16)
    expect(keys.length).toBeGreaterThan(1)
    expect(keys.reduce((sum, count) => sum + count, 0)).toBe(10_000)
    expect(batch.places.filter((_, index) => index % 2 === 1)).toEqual(
      keys.map((_, index) => keys.slice(0, index).reduce((sum, count) => sum + count, 0)),
    )
  })

  test.each<readonly [TableChange, string]>([
    [{ type: 'rules', chain: 'c', rules: [['counter'], ['foo', 'drop']] }, 'rule "foo drop" of chain c'],
    [{ type: 'chain', op: 'add', chain: 'c', hook: 'forward' }, 'chain c'],
    [{ type: 'set', op: 'add', kind: 'map', set: 'm', spec: 'type ipv4_addr : mark;' }, 'map m'],
    [
      {
        type: 'elements',
        op: 'add',
        kind: 'set',
        set: 's',
        spec: 'type ipv4_addr;',
        elements: ['1.1.1.1', '1.1.1.1/8'],
      },
      'element 1.1.1.1/8 of set s',
    ],
    [
      {
        type: 'elements',
        op: 'add',
        kind: 'map',
        set: 'm',
        spec: 'type ifname : verdict;',
        elements: new Map([['"a"', 'queue']]),
      },
      'element "a" of map m',
    ],
    [
      {
        type: 'elements',
        op: 'add',
        kind: 'set',
        set: 's',
        spec: 'type ipv4_addr . inet_proto;',
        elements: ['1.1.1.1 . 6 . 80'],
      },
      'element 1.1.1.1 . 6 . 80 of set s',
    ],
  ])('%j cannot be written: the error names it and its cause', (change, object) => {
    expect(() =>
      encode([
        { type: 'table', op: 'add' },
        { ...change, cause: 'np:a/b' },
      ]),
    ).toThrow(
      expect.objectContaining({
        code: 'NFT_REFUSED',
        message: expect.stringContaining(`${object}, of np:a/b, was refused`),
        details: { cause: 'np:a/b', refusals: [expect.objectContaining({ change: 1, object, errno: 0 })] },
      }),
    )
  })
})

test('the writer grows, and writes text that is not ASCII whole', () => {
  const writer = createAttributeWriter(8)
  writer.text(1, 'größer')
  writer.u64(2, 7n)
  expect(writer.view().toString('hex')).toBe('0d0001006772c3b6c39f6572' + '00000000' + '0c0002000000000000000007')
  const nested = writer.open(3)
  writer.bytes(1, new Uint8Array(70_000))
  expect(() => writer.close(nested)).toThrow('longer than netlink can tell')
})
