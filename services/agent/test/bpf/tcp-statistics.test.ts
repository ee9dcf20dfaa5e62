import { expect, test } from 'vitest'
import { type BpfCalls, commands } from '../../src/bpf/kernel.ts'
import { createTcpStatistics, decodeSocket } from '../../src/bpf/tcp-statistics.ts'
import { sampleOf } from '../../src/flows/sockets.ts'

const key = (source: string, destination: string) => Buffer.from(`${source}${destination}9c400050`, 'hex')

test('an entry of the map gives addresses of both families, ports, and eighths of microseconds as microseconds', () => {
  const value = Buffer.alloc(40)
  for (const [index, number] of [801, 90, 10, 1448, 7, 2, 9].entries()) value.writeUInt32LE(number, 8 + index * 4)
  const mapped = '00000000000000000000ffff'
  expect(decodeSocket(key(`${mapped}0a4d0001`, `${mapped}0a600001`), value)).toEqual({
    source: '10.77.0.1',
    destination: '10.96.0.1',
    sourcePort: 40_000,
    destinationPort: 80,
    smoothRtt: 100,
    minRtt: 90,
    congestionWindow: 10,
    mss: 1448,
    retransmissions: 7,
    lost: 9,
  })
  const ip6 = 'fd770000000000000000000000000001'
  expect(decodeSocket(key(ip6, ip6), value)).toMatchObject({ source: 'fd77::1', destination: 'fd77::1' })
})

test('losses of a socket are told once', () => {
  const state = {
    source: '10.0.0.1',
    destination: '10.0.0.2',
    sourcePort: 1,
    destinationPort: 2,
    congestionWindow: 10,
    smoothRtt: 5,
    minRtt: 4,
    mss: 1448,
    retransmissions: 3,
    lost: 4,
  }
  const told = { retransmissions: 1, lost: 0 }
  expect(sampleOf(state, told)).toMatchObject({ retransmissions: 2, lost: 4 })
  expect(sampleOf(state, told)).toMatchObject({ retransmissions: 0, lost: 0 })
  // The kernel has forgotten the socket's entry, and begins anew.
  expect(sampleOf({ ...state, lost: 1 }, told)).toMatchObject({ lost: 0 })
  expect(sampleOf({ ...state, lost: 3 }, told)).toMatchObject({ lost: 2 })
})

/** A kernel that takes everything, but for what `refuses` says; counts descriptors. */
function kernel(refuses: (command: number, attributes: Buffer) => boolean = () => false) {
  const open = new Set<number>()
  let next = 10
  const calls: BpfCalls = {
    bpf(command, attributes) {
      if (refuses(command, attributes)) throw new Error('refused')
      next += 1
      open.add(next)
      return next
    },
    allocate: () => ({ address: 1n, write: () => {}, read: (length) => Buffer.alloc(length), free: () => {} }),
    interfaceIndex: (name) => Number(/^cali(\d+)$/.exec(name)?.[1] ?? 0),
    close: (fd) => void open.delete(fd),
  }
  return { calls, open }
}

test('the program runs on the interfaces that are there, and everything is given back', () => {
  const { calls, open } = kernel()
  const statistics = createTcpStatistics(calls)
  expect(statistics.watch(['cali1', 'cali2', 'gone'])).toBeNull()
  expect(open.size).toBe(4)
  statistics.watch(['cali2', 'cali3'])
  expect(open.size).toBe(4)
  statistics.watch([])
  expect(open.size).toBe(2)
  statistics.close()
  expect(open.size).toBe(0)
})

test('an interface that refuses the program is told, and the others have it', () => {
  const { calls, open } = kernel(
    (command, attributes) => command === commands.createLink && attributes.readUInt32LE(4) === 2,
  )
  const statistics = createTcpStatistics(calls)
  expect(statistics.watch(['cali1', 'cali2', 'cali3'])).toBe('refused')
  expect(open.size).toBe(4)
  statistics.close()
})

test('a kernel that refuses the program keeps nothing', () => {
  const { calls, open } = kernel((command) => command === commands.loadProgram)
  expect(() => createTcpStatistics(calls)).toThrow('refused')
  expect(open.size).toBe(0)
})
