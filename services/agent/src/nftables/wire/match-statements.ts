import type { AttributeWriter } from './attribute-writer.ts'
import {
  bitwise,
  compare,
  compareRange,
  comparisons,
  headers,
  loadMeta,
  loadPayload,
  loadRoute,
  lookUp,
  lookUpVerdict,
  metaKeys,
  registerAt,
} from './expression.ts'
import { type KeyType, keyTypes, longestInterfaceName, parseNumber, parseRange } from './key-type.ts'
import { families } from './protocol.ts'
import type { StatementForm, StatementNote } from './statement.ts'

/** Statements that ask about a packet: interfaces, addresses, protocols, ports, ICMP, marks, routes. */

type Groups = Readonly<Record<string, string | undefined>>

const operator = '(?<not>!= )?'
const setName = '@(?<set>[A-Za-z][\\w./-]*)'
const mapName = 'vmap @(?<map>[A-Za-z][\\w./-]*)'
const keyType = (name: string) => keyTypes.get(name) as KeyType

/** The comparison that `!=` or its absence means. */
export const comparisonOf = ({ not }: Groups) => (not === undefined ? comparisons.equal : comparisons.unequal)

/** Bits of a mark, in the order of the machine. */
export function markBytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** Asks whether the loaded address is, or lies in, the one of a text. Null when the text is no address or network. */
export function compareNetwork(
  writer: AttributeWriter,
  type: KeyType,
  text: string,
  comparison: number,
  load: (size: number) => void,
): StatementNote | null {
  const [address, length] = text.split('/') as [string, string?]
  const range = parseRange(type, text)
  if (address === '' || range === null || text.includes('-')) return null
  const bits = length === undefined ? type.size * 8 : Number(length)
  const [first, last] = range
  if (bits === 0 || bits % 8 !== 0) {
    load(type.size)
    bitwise(
      writer,
      first.map((byte, at) => ~(byte ^ (last[at] as number)) & 0xff),
      new Uint8Array(type.size),
    )
    compare(writer, comparison, first)
  } else {
    load(bits / 8)
    compare(writer, comparison, first.subarray(0, bits / 8))
  }
  return {}
}

function compareInterface(writer: AttributeWriter, key: number, groups: Groups): StatementNote | null {
  const name = groups.name as string
  const isPattern = name.endsWith('*')
  const text = isPattern ? name.slice(0, -1) : name
  if (text === '' || text.length > longestInterfaceName || text.includes('*')) return null
  const bytes = Buffer.alloc(isPattern ? text.length : longestInterfaceName + 1)
  bytes.write(text, 'latin1')
  loadMeta(writer, key)
  compare(writer, comparisonOf(groups), bytes)
  return {}
}

const interfaceForms = (word: 'iifname' | 'oifname'): [string, StatementForm[]] => [
  word,
  [
    {
      form: new RegExp(`^${word} ${operator}"(?<name>[\\x21\\x23-\\x5b\\x5d-\\x7e]+)"$`),
      write: (writer, groups) => compareInterface(writer, metaKeys[word], groups),
    },
    {
      form: new RegExp(`^${word} (?:${mapName}|${operator}${setName})$`),
      write(writer, groups) {
        loadMeta(writer, metaKeys[word])
        lookUpEither(writer, groups)
        return {}
      },
    },
    {
      form: new RegExp(`^${word} \\. (?<word>ip6?) (?<side>[sd]addr) (?:${mapName}|${operator}${setName})$`),
      write(writer, groups) {
        const { family, type, ...offsets } = addresses[groups.word as keyof typeof addresses]
        loadMeta(writer, metaKeys[word])
        const behind = registerAt((longestInterfaceName + 1) / 4)
        loadPayload(writer, headers.network, offsets[groups.side as Side], type.size, behind)
        lookUpEither(writer, groups)
        return { family }
      },
    },
  ],
]

function lookUpEither(writer: AttributeWriter, groups: Groups): void {
  if (groups.map !== undefined) lookUpVerdict(writer, groups.map)
  else lookUp(writer, groups.set as string, comparisonOf(groups))
}

/** Where the addresses of a packet stand in its network header. */
const addresses = {
  ip: { family: families.ipv4, type: keyType('ipv4_addr'), saddr: 12, daddr: 16 },
  ip6: { family: families.ipv6, type: keyType('ipv6_addr'), saddr: 8, daddr: 24 },
} as const
const ports = { sport: 0, dport: 2 } as const
type Side = 'saddr' | 'daddr'
type PortSide = 'sport' | 'dport'

/** Protocol and port behind an address, or alone: a concatenation whose parts begin at words of four bytes. */
function loadProtocolAndPort(writer: AttributeWriter, side: PortSide, word: number): void {
  loadMeta(writer, metaKeys.l4proto, registerAt(word))
  loadPayload(writer, headers.transport, ports[side], 2, registerAt(word + 1))
}

const addressForms = (word: 'ip' | 'ip6'): [string, StatementForm[]] => {
  const { family, type, ...offsets } = addresses[word]
  const load = (writer: AttributeWriter, side: string, size: number) =>
    loadPayload(writer, headers.network, offsets[side as Side], size)
  const side = `^${word} (?<side>[sd]addr)`
  return [
    word,
    [
      {
        form: new RegExp(`${side} (?:${mapName}|${operator}${setName})$`),
        write(writer, groups) {
          load(writer, groups.side as string, type.size)
          lookUpEither(writer, groups)
          return { family }
        },
      },
      {
        form: new RegExp(`${side} ${operator}(?<network>[0-9a-fA-F.:]+(?:/\\d+)?)$`),
        write: (writer, groups) =>
          compareNetwork(writer, type, groups.network as string, comparisonOf(groups), (size) =>
            load(writer, groups.side as string, size),
          ) && { family },
      },
      {
        form: new RegExp(`${side} \\. meta l4proto \\. th (?<port>[sd]port) (?:${mapName}|${operator}${setName})$`),
        write(writer, groups) {
          load(writer, groups.side as string, type.size)
          loadProtocolAndPort(writer, groups.port as PortSide, type.size / 4)
          lookUpEither(writer, groups)
          return { family }
        },
      },
    ],
  ]
}

/** The first bytes of the ICMP header. */
const icmpForms = (word: 'icmp' | 'icmpv6'): [string, StatementForm[]] => {
  const about = word === 'icmp' ? { family: families.ipv4, protocol: 1 } : { family: families.ipv6, protocol: 58 }
  const offsets = { type: 0, code: 1 } as const
  return [
    word,
    [
      {
        form: new RegExp(`^${word} (?<field>type|code) ${operator}(?:(?<value>\\d+)|${setName})$`),
        write(writer, groups) {
          loadPayload(writer, headers.transport, offsets[groups.field as 'type' | 'code'], 1)
          if (groups.set !== undefined) lookUpEither(writer, groups)
          else {
            const value = parseNumber(groups.value as string, 255)
            if (value === null) return null
            compare(writer, comparisonOf(groups), Uint8Array.of(value))
          }
          return about
        },
      },
    ],
  ]
}

const metaForms: StatementForm[] = [
  {
    form: /^meta nfproto ipv(?<version>[46])$/,
    write(writer, { version }) {
      const family = version === '4' ? families.ipv4 : families.ipv6
      loadMeta(writer, metaKeys.nfproto)
      compare(writer, comparisons.equal, Uint8Array.of(family))
      return { tellsFamily: family }
    },
  },
  {
    form: new RegExp(`^meta l4proto ${operator}(?:(?<value>\\d+)|${setName})$`),
    write(writer, groups) {
      loadMeta(writer, metaKeys.l4proto)
      if (groups.set !== undefined) {
        lookUpEither(writer, groups)
        return {}
      }
      const protocol = parseNumber(groups.value as string, 255)
      if (protocol === null) return null
      compare(writer, comparisonOf(groups), Uint8Array.of(protocol))
      return groups.not === undefined ? { tellsProtocol: protocol } : {}
    },
  },
  {
    form: new RegExp(`^meta l4proto \\. th (?<port>[sd]port) (?:${mapName}|${operator}${setName})$`),
    write(writer, groups) {
      loadProtocolAndPort(writer, groups.port as PortSide, 0)
      lookUpEither(writer, groups)
      return {}
    },
  },
  {
    form: /^meta mark & (?<mask>\w+) (?<operator>==|!=) (?<value>\w+)$/,
    write(writer, groups) {
      const mask = parseNumber(groups.mask as string, 0xffffffff)
      const value = parseNumber(groups.value as string, 0xffffffff)
      if (mask === null || value === null) return null
      loadMeta(writer, metaKeys.mark)
      bitwise(writer, markBytes(mask), markBytes(0))
      compare(writer, groups.operator === '==' ? comparisons.equal : comparisons.unequal, markBytes(value))
      return {}
    },
  },
  {
    form: new RegExp(`^meta mark & (?<mask>\\w+) ${mapName}$`),
    write(writer, groups) {
      const mask = parseNumber(groups.mask as string, 0xffffffff)
      if (mask === null) return null
      loadMeta(writer, metaKeys.mark)
      bitwise(writer, markBytes(mask), markBytes(0))
      lookUpVerdict(writer, groups.map as string)
      return {}
    },
  },
]

const portForms: StatementForm[] = [
  {
    form: new RegExp(`^th (?<port>[sd]port) (?:${mapName}|${operator}${setName})$`),
    write(writer, groups) {
      loadPayload(writer, headers.transport, ports[groups.port as PortSide], 2)
      lookUpEither(writer, groups)
      return {}
    },
  },
  {
    form: new RegExp(`^th (?<port>[sd]port) ${operator}(?<range>\\d+(?:-\\d+)?)$`),
    write(writer, groups) {
      const range = parseRange(keyType('inet_service'), groups.range as string)
      if (range === null) return null
      loadPayload(writer, headers.transport, ports[groups.port as PortSide], 2)
      if (!groups.range?.includes('-')) compare(writer, comparisonOf(groups), range[0])
      else if (groups.not !== undefined) compareRange(writer, comparisons.unequal, range)
      else {
        compare(writer, comparisons.atLeast, range[0])
        compare(writer, comparisons.atMost, range[1])
      }
      return {}
    },
  },
]

/** Of linux/netfilter/nf_tables.h: what is asked of the routing table, and of which address. */
const route = { interface: 1, addressType: 3 } as const
const routeFlags = { source: 1, destination: 2, inputInterface: 8, present: 32 } as const
/** Type of an address that is the host's own (linux/rtnetlink.h, RTN_LOCAL). */
const localAddress = 2

const routeForms: StatementForm[] = [
  {
    form: /^fib saddr \. iif oif missing$/,
    write(writer) {
      loadRoute(writer, route.interface, routeFlags.source | routeFlags.inputInterface | routeFlags.present)
      compare(writer, comparisons.equal, markBytes(0))
      return {}
    },
  },
  {
    form: new RegExp(`^fib (?<side>[sd]addr) type ${operator}local$`),
    write(writer, groups) {
      loadRoute(writer, route.addressType, groups.side === 'saddr' ? routeFlags.source : routeFlags.destination)
      compare(writer, comparisonOf(groups), markBytes(localAddress))
      return {}
    },
  },
]

/** Forms by the first word of the statement. */
export const matchForms: readonly [string, readonly StatementForm[]][] = [
  interfaceForms('iifname'),
  interfaceForms('oifname'),
  addressForms('ip'),
  addressForms('ip6'),
  icmpForms('icmp'),
  icmpForms('icmpv6'),
  ['meta', metaForms],
  ['th', portForms],
  ['fib', routeForms],
]
