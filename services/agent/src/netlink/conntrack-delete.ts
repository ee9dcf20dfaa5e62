import { ipv4Bytes, ipv6Bytes } from '../nftables/wire/address.ts'
import type { ConntrackEntry, Tuple } from './conntrack.ts'
import { type Attribute, encodeRequest, flags, subsystems, u8, u16, u32 } from './message.ts'

/** Requests that make the kernel forget connections (linux/netfilter/nfnetlink_conntrack.h). */

const deleteType = (subsystems.conntrack << 8) | 2
const attribute = { original: 1, reply: 2, id: 12, filter: 25 } as const
/** Of a filter: the parts of the tuples that must agree; this one is the source's address. */
const filterFlags = { original: 1, reply: 2 } as const
const sourceAddress = 1
const nested = 0x8000
const afInet = { 4: 2, 6: 10 } as const

/** Forgets one connection, by what the client sent and the kernel's number. */
export function deleteRequest(sequence: number, { id, original }: ConntrackEntry): Buffer {
  return encodeRequest({
    type: deleteType,
    flags: flags.request,
    sequence,
    family: afInet[familyOf(original.source)],
    resource: 0,
    attributes: [
      [attribute.original | nested, tupleBytes(original)],
      [attribute.id, u32(id)],
    ],
  })
}

/** Forgets every connection that an address began (`original`), or that really goes to it (`reply`, also behind DNAT). Since Linux 6.8. */
export function flushRequest(sequence: number, ip: string, side: 'original' | 'reply'): Buffer {
  const family = familyOf(ip)
  const flag = Buffer.alloc(4)
  flag.writeUInt32LE(sourceAddress)
  return encodeRequest({
    type: deleteType,
    flags: flags.request,
    sequence,
    family: afInet[family],
    resource: 0,
    attributes: [
      [attribute[side] | nested, encode([[1 | nested, encode([[family === 4 ? 1 : 3, ipBytes(ip)]])]])],
      [attribute.filter | nested, encode([[filterFlags[side], flag]])],
    ],
  })
}

const familyOf = (ip: string): 4 | 6 => (ip.includes(':') ? 6 : 4)

function tupleBytes({ source, destination, protocol, sourcePort, destinationPort }: Tuple): Uint8Array {
  const isV6 = familyOf(source) === 6
  const addresses: Attribute[] = [
    [isV6 ? 3 : 1, ipBytes(source)],
    [isV6 ? 4 : 2, ipBytes(destination)],
  ]
  return encode([
    [1 | nested, encode(addresses)],
    [2 | nested, encode([[1, u8(protocol)], ...portAttributes(protocol, sourcePort, destinationPort)])],
  ])
}

/** Of ICMP the echo id, type and code stand where others have ports. */
function portAttributes(protocol: number, sourcePort: number, destinationPort: number): Attribute[] {
  if (protocol !== 1 && protocol !== 58)
    return [
      [2, u16(sourcePort)],
      [3, u16(destinationPort)],
    ]
  const first = protocol === 1 ? 4 : 7
  return [
    [first, u16(sourcePort)],
    [first + 1, u8(destinationPort >> 8)],
    [first + 2, u8(destinationPort & 0xff)],
  ]
}

/** Attributes one behind the other, each padded to four bytes. */
function encode(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.flatMap(([type, value]) => {
    const header = Buffer.alloc(4)
    header.writeUInt16LE(4 + value.length, 0)
    header.writeUInt16LE(type, 2)
    return [header, value, Buffer.alloc(-value.length & 3)]
  })
  return Buffer.concat(parts)
}

const ipBytes = (ip: string) => (familyOf(ip) === 4 ? ipv4Bytes(ip) : ipv6Bytes(ip)) ?? new Uint8Array(0)
