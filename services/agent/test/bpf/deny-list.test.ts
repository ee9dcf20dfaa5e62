import { expect, test } from 'vitest'
import { createDenyList, prefixKey } from '../../src/bpf/deny-list.ts'
import { denyProgram } from '../../src/bpf/deny-program.ts'
import type { BpfCalls } from '../../src/bpf/kernel.ts'

test('a key is the length of the prefix in host order, and the address', () => {
  expect(prefixKey('10.1.2.3').toString('hex')).toBe('20000000' + '0a010203')
  expect(prefixKey('10.1.0.0/16').toString('hex')).toBe('10000000' + '0a010000')
  expect(prefixKey('fd00::/8').toString('hex')).toBe(`08000000${'fd'.padEnd(32, '0')}`)
})

test('each failsafe port is spared by three instructions of the program', () => {
  const maps = { 4: 3, 6: 4, dropped: 5 }
  const port = { protocol: 6, port: 22 }
  const size = (inbound: number, outbound: number) =>
    denyProgram(maps, {
      inbound: Array.from({ length: inbound }, () => port),
      outbound: Array.from({ length: outbound }, () => port),
    }).length / 8
  expect(size(2, 1) - size(0, 0)).toBe(6)
  // 22 as a little endian machine reads it from the wire.
  expect(denyProgram(maps, { inbound: [port], outbound: [] }).toString('hex')).toContain('00160000')
})

/** A kernel in which one of the calls fails; counts descriptors. */
function kernel(fails: (command: number, attributes: Buffer) => boolean) {
  const open = new Set<number>()
  let next = 10
  const calls: BpfCalls = {
    bpf(command, attributes, what) {
      if (fails(command, attributes)) throw new Error(what)
      next += 1
      open.add(next)
      return next
    },
    allocate: () => ({ address: 1n, write: () => {}, read: (length) => Buffer.alloc(length), free: () => {} }),
    interfaceIndex: () => 1,
    close: (fd) => void open.delete(fd),
  }
  return { calls, open }
}

const failsafes = { inbound: [], outbound: [] }
const isLink = (command: number) => command === 28

test('where the driver refuses, the common part of the kernel is tried if that is allowed', () => {
  const refusesNative = (command: number, attributes: Buffer) => isLink(command) && attributes.readUInt32LE(12) === 4
  const { calls, open } = kernel(refusesNative)
  const modes = { native: true, generic: true }
  const list = createDenyList(calls, { interfaceIndex: 7, modes, failsafes })
  expect(list.mode).toBe('generic')
  list.close()
  expect(open.size).toBe(0)
  expect(() => createDenyList(calls, { interfaceIndex: 7, modes: { ...modes, generic: false }, failsafes })).toThrow(
    /^native: a program cannot be attached to interface 7$/,
  )
  expect(open.size).toBe(0)
})
