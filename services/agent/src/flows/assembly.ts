import type { Stage, Verdict } from '@margay/schemas'
import type { Tuple } from '../netlink/conntrack.ts'
import { actionOfPrefix, stageOfPrefix } from '../nftables/names.ts'
import { type IpPacket, tupleKey } from './ip-packet.ts'

/**
 * Puts the logged steps of a packet together. A packet that passes through two tiers is logged once for each of them, in order; the
 * step that allows or denies ends its trace. Equal traces of one connection are counted together until taken.
 */

/** The verdict on one or several packets of a connection in one direction, with the log prefixes that led to it. */
export interface Judged {
  readonly direction: 'ingress' | 'egress'
  /** Before DNAT and when forwarding, only the step that decided is told; the tuple is the one that was judged. */
  readonly stage: Stage
  readonly tuple: Tuple
  readonly verdict: Verdict
  readonly prefixes: readonly string[]
  /** What the client addressed, when it was a service and not the destination itself. */
  readonly addressed: Addressed | null
  packets: number
  bytes: number
}

/** A destination before DNAT. */
export interface Addressed {
  readonly ip: string
  readonly port: number
}

/** A rule with action Log that a packet met. */
export interface Noted {
  readonly tuple: Tuple
  readonly prefix: string
}

/** Puts the packets of log rules together to verdicts. */
export interface Assembly {
  add(direction: 'ingress' | 'egress', prefix: string, packet: IpPacket): void
  /** A packet to a service, before it is sent on to one of its pods. */
  addressed(packet: IpPacket): void
  /** What has been judged since the last call. */
  take(): { judged: Judged[]; noted: Noted[]; unfinished: number }
}

/** Unfinished traces kept; more than this means that log messages were lost, and the oldest go. */
const unfinishedLimit = 20_000
/** Clients whose addressed service is remembered until their packet is judged, a moment later. */
const addressedLimit = 20_000
/** Log actions told for each `take`. */
const notedLimit = 100

/** Makes an empty assembly. */
export function createAssembly(): Assembly {
  const unfinished = new Map<string, string[]>()
  let services = new Map<string, Addressed>()
  let older: ReadonlyMap<string, Addressed> = services
  let judged = new Map<string, Judged>()
  let noted: Noted[] = []
  // DNAT changes the destination only, so the client's end tells which packet it was.
  const clientOf = ({ protocol, source, sourcePort }: Tuple) => `${protocol} ${source} ${sourcePort}`
  function addressedBy(tuple: Tuple): Addressed | null {
    const client = clientOf(tuple)
    return services.get(client) ?? older.get(client) ?? null
  }
  return {
    addressed({ tuple }) {
      const client = clientOf(tuple)
      services.delete(client)
      services.set(client, { ip: tuple.destination, port: tuple.destinationPort })
      if (services.size > addressedLimit) services.delete(services.keys().next().value as string)
    },
    add(direction, prefix, packet) {
      const action = actionOfPrefix(prefix)
      if (action === null) return
      if (action === 'log') {
        if (noted.length < notedLimit) noted.push({ tuple: packet.tuple, prefix })
        return
      }
      const stage = stageOfPrefix(prefix)
      const key = `${direction} ${stage} ${tupleKey(packet.tuple)}`
      const steps = unfinished.get(key)
      if (action === 'pass') {
        // What a host endpoint passes may be translated before the next step: it is not known again.
        if (stage !== 'normal') return
        // The same step twice: the end of the packet before was lost, and this is another packet.
        if (steps === undefined || steps.includes(prefix)) {
          if (unfinished.size >= unfinishedLimit) unfinished.delete(unfinished.keys().next().value as string)
          unfinished.set(key, [prefix])
        } else steps.push(prefix)
        return
      }
      const prefixes = steps === undefined ? [prefix] : [...steps, prefix]
      unfinished.delete(key)
      const trace = `${key} ${prefixes.join(' ')}`
      const known = judged.get(trace)
      if (known === undefined) {
        judged.set(trace, {
          direction,
          stage,
          tuple: packet.tuple,
          verdict: action,
          prefixes,
          addressed: addressedBy(packet.tuple),
          packets: 1,
          bytes: packet.length,
        })
      } else {
        known.packets += 1
        known.bytes += packet.length
      }
    },
    take() {
      // A verdict comes with or right after the packet to the service; kept longer, a reused port would be mistaken for it.
      older = services
      services = new Map()
      const taken = { judged: [...judged.values()], noted, unfinished: unfinished.size }
      judged = new Map()
      noted = []
      return taken
    },
  }
}
