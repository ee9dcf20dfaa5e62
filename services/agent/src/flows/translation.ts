import { hasPorts } from '@margay/schemas'
import type { ConntrackEntry, Tuple } from '../netlink/conntrack.ts'
import type { Addressed } from './assembly.ts'

/** What NAT has made of a connection, by what the kernel expects of its answers. */

/** The connection after DNAT, as the rules saw it. */
export function afterNat({ original, reply }: ConntrackEntry): Tuple {
  return {
    source: original.source,
    destination: reply.source,
    protocol: original.protocol,
    sourcePort: original.sourcePort,
    destinationPort: hasPorts(original.protocol) ? reply.sourcePort : original.destinationPort,
  }
}

/** What the client addressed, if DNAT has changed it. */
export function addressedOf({ original, reply }: ConntrackEntry): Addressed | null {
  const { protocol, destination, destinationPort } = original
  if (!hasPorts(protocol) || (destination === reply.source && destinationPort === reply.sourcePort)) return null
  return { ip: destination, port: destinationPort }
}

/** The source port that the client has beyond this node, if SNAT gave it another address. */
export function natOf({ original, reply }: ConntrackEntry): { readonly natPort?: number } {
  return !hasPorts(original.protocol) || reply.destination === original.source ? {} : { natPort: reply.destinationPort }
}
