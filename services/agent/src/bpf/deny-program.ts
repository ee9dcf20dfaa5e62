import type { FailsafePort } from '@margay/schemas'
import {
  assemble,
  call,
  compute,
  exit,
  increment,
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
 * Drops packets of listed sources at the driver (XDP), before the kernel has spent anything on them. Rules of nftables say the same, so
 * it passes whatever it is not sure of: fragments, extension headers, ICMPv6, tags, and the failsafe ports.
 */

/** Keys of the two lists: length of the prefix, address. Values are a byte. */
export const prefixKeySizes = { 4: 8, 6: 20 } as const

/** The descriptors that the program works with. */
export interface DenyMaps {
  readonly 4: number
  readonly 6: number
  /** One number of 64 bits: packets dropped. */
  readonly dropped: number
}

/** Failsafe ports in the two directions; who may use them is left to the rules. */
export interface Failsafes {
  readonly inbound: readonly Pick<FailsafePort, 'protocol' | 'port'>[]
  /** Their answers come from these ports. */
  readonly outbound: readonly Pick<FailsafePort, 'protocol' | 'port'>[]
}

const helpers = { lookup: 1, loadBytes: 189 } as const
const verdicts = { drop: 1, pass: 2 } as const
const ethernetHeader = 14
const ipv4 = 0x0008
const ipv6 = 0xdd86
const tcp = 6
const udp = 17
const sctp = 132

const context: Register = 6
const protocol: Register = 8
const transport: Register = 9
const stack: Register = 10
/** Places on the stack, from its top. */
const at = { header: -40, key: -64, ports: -72, index: -80 } as const

function bytes(from: Operand, to: number, length: number): Part[] {
  return [
    compute('move', 1, { register: context }),
    compute('move', 2, from),
    compute('move', 3, { register: stack }),
    compute('add', 3, to),
    compute('move', 4, length),
    call(helpers.loadBytes),
    jump('pass', [0, 'notEqual', 0]),
  ]
}

function find(map: number, key: number): Part[] {
  return [loadMap(1, map), compute('move', 2, { register: stack }), compute('add', 2, key), call(helpers.lookup)]
}

/** Ports as a little endian machine reads them from a packet. */
const swapped = (port: number) => ((port & 0xff) << 8) | (port >> 8)

/** The program over the lists of one interface. */
export function denyProgram(maps: DenyMaps, failsafes: Failsafes): Buffer {
  let number = 0
  const spare = (ports: Failsafes['inbound'], register: Register) =>
    ports.flatMap(({ protocol: wanted, port }) => {
      number += 1
      return [
        jump(`other ${number}`, [protocol, 'notEqual', wanted]),
        jump('pass', [register, 'equal', swapped(port)]),
        label(`other ${number}`),
      ]
    })
  return assemble([
    compute('move', context, { register: 1 }),
    ...bytes(12, at.ports, 2),
    load(2, 1, stack, at.ports),
    jump('ipv4', [1, 'equal', ipv4]),
    jump('pass', [1, 'notEqual', ipv6]),
    ...bytes(ethernetHeader, at.header, 40),
    load(1, protocol, stack, at.header + 6),
    store(4, stack, at.key, 128),
    ...[0, 4, 8, 12].flatMap((offset) => [
      load(4, 1, stack, at.header + 8 + offset),
      store(4, stack, at.key + 4 + offset, { register: 1 }),
    ]),
    ...find(maps[6], at.key),
    jump('pass', [0, 'equal', 0]),
    compute('move', transport, ethernetHeader + 40),
    jump('ports', [protocol, 'equal', tcp]),
    jump('ports', [protocol, 'equal', udp]),
    jump('ports', [protocol, 'equal', sctp]),
    jump('pass'),

    label('ipv4'),
    ...bytes(ethernetHeader, at.header, 20),
    load(1, protocol, stack, at.header + 9),
    store(4, stack, at.key, 32),
    load(4, 1, stack, at.header + 12),
    store(4, stack, at.key + 4, { register: 1 }),
    ...find(maps[4], at.key),
    jump('pass', [0, 'equal', 0]),
    // More fragments, or not the first one: bits 13 and below of the two bytes, of which the first is the high one.
    load(2, 1, stack, at.header + 6),
    compute('and', 1, 0xff3f),
    jump('pass', [1, 'notEqual', 0]),
    load(1, transport, stack, at.header),
    compute('and', transport, 0xf),
    compute('leftShift', transport, 2),
    compute('add', transport, ethernetHeader),
    jump('ports', [protocol, 'equal', tcp]),
    jump('ports', [protocol, 'equal', udp]),
    jump('ports', [protocol, 'equal', sctp]),
    jump('drop'),

    label('ports'),
    ...bytes({ register: transport }, at.ports, 4),
    load(2, 1, stack, at.ports),
    load(2, 2, stack, at.ports + 2),
    ...spare(failsafes.inbound, 2),
    ...spare(failsafes.outbound, 1),

    label('drop'),
    store(4, stack, at.index, 0),
    ...find(maps.dropped, at.index),
    jump('pass', [0, 'equal', 0]),
    compute('move', 1, 1),
    increment(0, 0, 1),
    compute('move', 0, verdicts.drop),
    exit(),
    label('pass'),
    compute('move', 0, verdicts.pass),
    exit(),
  ])
}
