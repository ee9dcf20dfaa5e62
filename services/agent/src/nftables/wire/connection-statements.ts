import { bitwise, compare, comparisons, connectionKeys, loadConnection, lookUp } from './expression.ts'
import { type KeyType, keyTypes, parseNumber } from './key-type.ts'
import { compareNetwork, comparisonOf, markBytes } from './match-statements.ts'
import type { StatementForm } from './statement.ts'

/** Statements that ask about the connection of a packet. */

/** Bits of the state (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h). */
const states: Readonly<Record<string, number>> = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 }
/** IPS_DST_NAT: its destination was rewritten. */
const destinationNat = 0x20
const original = 0

const forms: StatementForm[] = [
  {
    form: /^ct state (?<list>[a-z]+(?:,[a-z]+)*)$/,
    write(writer, { list }) {
      let bits = 0
      for (const name of (list as string).split(',')) {
        const bit = states[name]
        if (bit === undefined) return null
        bits |= bit
      }
      loadConnection(writer, connectionKeys.state, null)
      bitwise(writer, markBytes(bits), markBytes(0))
      compare(writer, comparisons.unequal, markBytes(0))
      return {}
    },
  },
  {
    form: /^ct status dnat$/,
    write(writer) {
      loadConnection(writer, connectionKeys.status, null)
      bitwise(writer, markBytes(destinationNat), markBytes(0))
      compare(writer, comparisons.unequal, markBytes(0))
      return {}
    },
  },
  {
    form: /^ct direction (?<direction>original|reply)$/,
    write(writer, { direction }) {
      loadConnection(writer, connectionKeys.direction, null)
      compare(writer, comparisons.equal, Uint8Array.of(direction === 'reply' ? 1 : 0))
      return {}
    },
  },
  {
    form: /^ct original packets (?<count>\d+)$/,
    write(writer, { count }) {
      const value = parseNumber(count as string, Number.MAX_SAFE_INTEGER)
      if (value === null) return null
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(BigInt(value))
      loadConnection(writer, connectionKeys.packets, original)
      compare(writer, comparisons.equal, bytes)
      return {}
    },
  },
  {
    // nft itself takes it only behind a statement that names the protocol.
    form: /^ct original proto-dst (?<port>\d+)$/,
    write(writer, { port }) {
      const value = parseNumber(port as string, 0xffff)
      if (value === null) return null
      loadConnection(writer, connectionKeys.destinationPort, original)
      compare(writer, comparisons.equal, Uint8Array.of(value >> 8, value & 0xff))
      return {}
    },
  },
  {
    form: /^ct original (?<family>ip|ip6) daddr (?<not>!= )?(?:@(?<set>[A-Za-z][\w./-]*)|(?<network>[0-9a-fA-F.:]+(?:\/\d+)?))$/,
    write(writer, groups) {
      const isV4 = groups.family === 'ip'
      const load = () =>
        loadConnection(writer, isV4 ? connectionKeys.destinationIpv4 : connectionKeys.destinationIpv6, original)
      if (groups.network !== undefined) {
        const type = keyTypes.get(isV4 ? 'ipv4_addr' : 'ipv6_addr') as KeyType
        return compareNetwork(writer, type, groups.network, comparisonOf(groups), load)
      }
      load()
      lookUp(writer, groups.set as string, comparisonOf(groups))
      return {}
    },
  },
]

/** Forms by the first word of the statement. */
export const connectionForms: readonly [string, readonly StatementForm[]][] = [['ct', forms]]
