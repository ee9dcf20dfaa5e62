import {
  assemble,
  call,
  compute,
  exit,
  jump,
  label,
  load,
  loadMap,
  type Operand,
  type Part,
  type Register,
  store,
} from './assembler.ts'

/**
 * Runs on what comes in from a pod (tc ingress on the host's end of its wire). There a packet still knows the socket that sent it, and
 * the kernel tells how that socket is (design of the fields: struct bpf_tcp_sock). It writes that down under the packet's addresses and
 * ports, and lets every packet go on to whatever is next.
 */

/** Source and destination address (IPv4 as `::ffff:a.b.c.d`), source and destination port in network order. */
export const socketKeySize = 36
/** Microseconds are times 8 for `smoothRtt`, as the kernel keeps them. */
export const socketValue = {
  size: 40,
  updated: 0,
  smoothRtt: 8,
  minRtt: 12,
  congestionWindow: 16,
  mss: 20,
  retransmissions: 24,
  /** Segments that are taken for lost now, and all that ever were. */
  lostNow: 28,
  lost: 32,
} as const

/** Helpers (linux/bpf.h). */
const helpers = {
  lookup: 1,
  update: 2,
  now: 5,
  loadBytes: 26,
  fullSocket: 95,
  tcpSocket: 96,
} as const

/** Members of struct __sk_buff, struct bpf_tcp_sock. */
const packet = { protocol: 16, socket: 168 } as const
const tcp = {
  congestionWindow: 0,
  smoothRtt: 4,
  minRtt: 8,
  mss: 28,
  retransmissions: 52,
  lostNow: 72,
} as const

/** Values of `protocol` as a little endian machine reads them. */
const ipv4 = 0x0008
const ipv6 = 0xdd86
const ethernetHeader = 14
const protocolTcp = 6
/** Goes on with the next program, as if this one were not there. */
const next = -1

const context: Register = 6
const socket: Register = 7
const value: Register = 8
const stack: Register = 10

/** Places on the stack, from its top; all of them multiples of 8. */
const at = { key: -40, header: -80, entry: -120 } as const
const key = { source: at.key, destination: at.key + 16, ports: at.key + 32 } as const

/** Copies packet bytes to the stack: from a fixed place, or from one that a register holds. */
function bytes(from: Operand, to: number, length: number): Part[] {
  return [
    compute('move', 1, { register: context }),
    compute('move', 2, from),
    compute('move', 3, { register: stack }),
    compute('add', 3, to),
    compute('move', 4, length),
    call(helpers.loadBytes),
    jump('out', [0, 'notEqual', 0]),
  ]
}

/** Copies a member of the socket's state to the entry that register 8 points to. */
function copy(member: 'congestionWindow' | 'smoothRtt' | 'minRtt' | 'mss' | 'retransmissions'): Part[] {
  return [load(4, 1, socket, tcp[member]), store(4, value, socketValue[member], { register: 1 })]
}

/** The program, over a map of socket keys and values. */
export function tcpProgram(map: number): Buffer {
  return assemble([
    compute('move', context, { register: 1 }),
    load(8, 1, context, packet.socket),
    jump('out', [1, 'equal', 0]),
    call(helpers.fullSocket),
    jump('out', [0, 'equal', 0]),
    compute('move', 1, { register: 0 }),
    call(helpers.tcpSocket),
    jump('out', [0, 'equal', 0]),
    compute('move', socket, { register: 0 }),

    load(4, 1, context, packet.protocol),
    jump('ipv4', [1, 'equal', ipv4]),
    jump('out', [1, 'notEqual', ipv6]),
    ...bytes(ethernetHeader, at.header, 40),
    load(1, 1, stack, at.header + 6),
    jump('out', [1, 'notEqual', protocolTcp]),
    ...[0, 8, 16, 24].flatMap((offset) => [
      load(8, 1, stack, at.header + 8 + offset),
      store(8, stack, key.source + offset, { register: 1 }),
    ]),
    ...bytes(ethernetHeader + 40, key.ports, 4),
    jump('known'),

    label('ipv4'),
    ...bytes(ethernetHeader, at.header, 20),
    load(1, 1, stack, at.header + 9),
    jump('out', [1, 'notEqual', protocolTcp]),
    ...[
      [12, key.source],
      [16, key.destination],
    ].flatMap(([offset = 0, place = 0]) => [
      store(8, stack, place, 0),
      store(4, stack, place + 8, 0xffff0000),
      load(4, 1, stack, at.header + offset),
      store(4, stack, place + 12, { register: 1 }),
    ]),
    // The header's length is in its first byte, in words of four bytes.
    load(1, 9, stack, at.header),
    compute('and', 9, 0xf),
    compute('leftShift', 9, 2),
    compute('add', 9, ethernetHeader),
    ...bytes({ register: 9 }, key.ports, 4),

    label('known'),
    ...find(map),
    jump('write', [0, 'notEqual', 0]),
    // The first packet of this socket: an entry of zeros.
    ...[0, 8, 16, 24, 32].map((offset) => store(8, stack, at.entry + offset, 0)),
    loadMap(1, map),
    compute('move', 2, { register: stack }),
    compute('add', 2, at.key),
    compute('move', 3, { register: stack }),
    compute('add', 3, at.entry),
    compute('move', 4, 0),
    call(helpers.update),
    ...find(map),
    jump('out', [0, 'equal', 0]),

    label('write'),
    compute('move', value, { register: 0 }),
    ...copy('congestionWindow'),
    ...copy('smoothRtt'),
    ...copy('minRtt'),
    ...copy('mss'),
    ...copy('retransmissions'),
    // What is taken for lost now and was not before is added to what was lost.
    load(4, 1, socket, tcp.lostNow),
    load(4, 2, value, socketValue.lostNow),
    store(4, value, socketValue.lostNow, { register: 1 }),
    jump('timed', [1, 'lessOrEqual', { register: 2 }]),
    compute('sub', 1, { register: 2 }),
    load(4, 2, value, socketValue.lost),
    compute('add', 2, { register: 1 }),
    store(4, value, socketValue.lost, { register: 2 }),
    label('timed'),
    call(helpers.now),
    store(8, value, socketValue.updated, { register: 0 }),

    label('out'),
    compute('move', 0, next),
    exit(),
  ])
}

function find(map: number): Part[] {
  return [loadMap(1, map), compute('move', 2, { register: stack }), compute('add', 2, at.key), call(helpers.lookup)]
}
