import { expect, test } from 'vitest'
import { assemble, call, compute, exit, jump, label, load, loadMap, store } from '../../src/bpf/assembler.ts'

const hex = (...parts: Parameters<typeof assemble>[0][number][]) => assemble(parts).toString('hex')

test('instructions have the bytes that RFC 9669 gives them', () => {
  expect(hex(compute('move', 0, -1))).toBe('b7000000ffffffff')
  expect(hex(compute('move', 6, { register: 1 }))).toBe('bf16000000000000')
  expect(hex(compute('add', 2, -40))).toBe('07020000d8ffffff')
  expect(hex(compute('leftShift', 9, 2))).toBe('6709000002000000')
  expect(hex(compute('sub', 1, { register: 2 }))).toBe('1f21000000000000')
  expect(hex(load(8, 1, 6, 168))).toBe('7961a80000000000')
  expect(hex(load(4, 1, 7, 72))).toBe('6171480000000000')
  expect(hex(load(1, 1, 10, -74))).toBe('71a1b6ff00000000')
  expect(hex(store(8, 10, -40, { register: 1 }))).toBe('7b1ad8ff00000000')
  expect(hex(store(4, 10, -32, 0xffff0000))).toBe('620ae0ff0000ffff')
  expect(hex(loadMap(1, 5))).toBe('18110000050000000000000000000000')
  expect(hex(call(26))).toBe('850000001a000000')
  expect(hex(exit())).toBe('9500000000000000')
})

test('jumps count instructions from the next one, and a map takes the room of two', () => {
  expect(
    hex(
      jump('end', [1, 'equal', 0]),
      jump('end', [1, 'lessOrEqual', { register: 2 }]),
      loadMap(1, 3),
      jump('end'),
      label('end'),
      exit(),
    ),
  ).toBe(
    '1501040000000000' +
      'bd21030000000000' +
      '18110000030000000000000000000000' +
      '0500000000000000' +
      '9500000000000000',
  )
})

test('a jump back, or to nowhere, is refused', () => {
  expect(() => assemble([label('begin'), exit(), jump('begin')])).toThrow(RangeError)
  expect(() => assemble([jump('nowhere'), exit()])).toThrow(RangeError)
})
