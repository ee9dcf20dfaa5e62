import {
  type Endpoint,
  type FlowUpdate,
  hasPorts,
  type Identity,
  type Packet,
  type PolicyModel,
  type ServicePort,
  type TraceEntry,
  type Verdict,
} from '@margay/schemas'
import { type ConntrackEntry, type Tuple, tcpTimeWait } from '../netlink/conntrack.ts'
import type { RuleHit } from '../nftables/names.ts'
import type { Judged } from './assembly.ts'
import { tupleKey } from './ip-packet.ts'
import { packetOf, presentTrace, traceOf } from './trace.ts'

/**
 * Joins the two things the kernel tells: which rules judged a connection's first packet (log), and how much went through
 * (connection table). Both are keyed by the 5-tuple after DNAT. Each end that is an endpoint of this node gives updates of its own.
 *
 * Allowed connections are counted from the connection table alone, denied packets from the log alone, so nothing is counted twice.
 */
export interface Connections {
  /** Verdicts from the log. */
  judged(judged: Judged): void
  /** All connections of the kernel; `complete` is false when some may be missing. */
  dumped(entries: readonly ConntrackEntry[], complete: boolean): void
  /** Connections that ended. */
  ended(entries: readonly ConntrackEntry[]): void
  /** Connections followed, and verdicts that no connection has claimed yet. */
  readonly size: { readonly connections: number; readonly attempts: number }
}

export interface ConnectionsDeps {
  readonly model: PolicyModel
  /** The rule behind a log prefix. */
  readonly hit: (prefix: string) => RuleHit | null
  /** The endpoint of this node that has the address. */
  readonly local: (ip: string) => Endpoint | null
  /** True for addresses of the node itself, whose traffic to its pods is not judged. */
  readonly isHost: (ip: string) => boolean
  readonly emit: (update: FlowUpdate) => void
}

type End = 'src' | 'dst'

/** What the log said about one end of a connection that the table has not shown yet. */
interface Seen {
  readonly verdict: Verdict
  readonly enforced: readonly TraceEntry[]
  packets: number
  bytes: number
  started: boolean
}

interface Attempt {
  readonly packet: Packet
  readonly tuple: Tuple
  readonly source: Identity
  readonly destination: Identity
  service: ServicePort | null
  readonly ends: { src: Seen | null; dst: Seen | null }
  /** Complete dumps made when it was last heard of. */
  dumps: number
}

interface FollowedEnd {
  readonly end: End
  enforced: readonly TraceEntry[] | null
  started: boolean
  /** Counted by the table but denied by a rule that came later; told from the log. */
  deniedPackets: number
  deniedBytes: number
}

interface Followed {
  readonly packet: Packet
  readonly tuple: Tuple
  readonly source: Identity
  readonly destination: Identity
  readonly service: ServicePort | null
  readonly ends: readonly FollowedEnd[]
  last: ConntrackEntry | null
  completed: boolean
  /** Times it was looked at while a verdict was missing. */
  held: number
  /** Complete dumps that it was missing from. */
  missing: number
}

/** Dumps that an allowed attempt may wait for its connection; then it was dropped behind our back and the log alone counts. */
const attemptDumps = 3
/** Attempts kept at most; a scan of denied ports makes one each. */
const attemptLimit = 100_000

export function createConnections(deps: ConnectionsDeps): Connections {
  const { model, emit } = deps
  const attempts = new Map<string, Attempt>()
  const followed = new Map<string, Followed>()
  const byTuple = new Map<string, Followed>()
  let dumps = 0
  let isFirstDump = true
  const late: ConntrackEntry[] = []

  function identities(packet: Packet): { source: Identity; destination: Identity } {
    const from = model.endpointByIp(packet.sourceIp)
    const to = model.endpointByIp(packet.destinationIp)
    return { source: model.identify(packet.sourceIp, to), destination: model.identify(packet.destinationIp, from) }
  }

  function discriminator(tuple: Tuple): { discriminator?: number } {
    return hasPorts(tuple.protocol) ? {} : { discriminator: tuple.sourcePort }
  }

  /** Tells what the log counted for an end whose packets the table never shows. */
  function emitLogged(attempt: Attempt, end: End, seen: Seen): void {
    const count = seen.started ? 0 : 1
    emit({
      reporter: end,
      action: seen.verdict,
      packet: attempt.packet,
      enforced: seen.enforced,
      service: attempt.service,
      ...discriminator(attempt.tuple),
      source: attempt.source,
      destination: attempt.destination,
      bytesIn: end === 'dst' ? seen.bytes : 0,
      bytesOut: end === 'src' ? seen.bytes : 0,
      packetsIn: end === 'dst' ? seen.packets : 0,
      packetsOut: end === 'src' ? seen.packets : 0,
      started: count,
      completed: count,
    })
    seen.started = true
    seen.packets = 0
    seen.bytes = 0
  }

  function attemptOf(key: string, tuple: Tuple): Attempt {
    let attempt = attempts.get(key)
    if (attempt === undefined) {
      if (attempts.size >= attemptLimit) {
        const [oldest, first] = attempts.entries().next().value as [string, Attempt]
        forget(oldest, first)
      }
      const packet = packetOf(tuple)
      attempt = { packet, tuple, ...identities(packet), service: null, ends: { src: null, dst: null }, dumps }
      attempts.set(key, attempt)
    }
    attempt.dumps = dumps
    return attempt
  }

  /** Gives up an attempt; what an allowed end has not told yet is told from the log. */
  function forget(key: string, attempt: Attempt): void {
    attempts.delete(key)
    for (const end of ['src', 'dst'] as const) {
      const seen = attempt.ends[end]
      if (seen?.verdict === 'allow' && seen.packets > 0) emitLogged(attempt, end, seen)
    }
  }

  function follow(entry: ConntrackEntry): Followed | null {
    const tuple = afterNat(entry)
    const packet = packetOf(tuple)
    const ends: FollowedEnd[] = []
    const add = (end: End) => ends.push({ end, enforced: null, started: false, deniedPackets: 0, deniedBytes: 0 })
    if (deps.local(tuple.source) !== null) add('src')
    if (deps.local(tuple.destination) !== null && !deps.isHost(tuple.source)) add('dst')
    if (ends.length === 0) return null
    const { destination, destinationPort, protocol } = entry.original
    return {
      packet,
      tuple,
      ...identities(packet),
      service: hasPorts(protocol) ? model.service(destination, destinationPort, protocol) : null,
      ends,
      last: null,
      completed: false,
      held: 0,
      missing: 0,
    }
  }

  /** Takes the traces that the log has told; true when no end lacks one. */
  function claim(connection: Followed): boolean {
    const key = tupleKey(connection.tuple)
    const attempt = attempts.get(key)
    if (attempt !== undefined) {
      for (const end of connection.ends) {
        const seen = attempt.ends[end.end]
        if (end.enforced !== null || seen?.verdict !== 'allow') continue
        end.enforced = seen.enforced
        end.started = seen.started
        attempt.ends[end.end] = null
      }
      if (attempt.ends.src === null && attempt.ends.dst === null) attempts.delete(key)
    }
    return connection.ends.every((end) => end.enforced !== null)
  }

  function observe(entry: ConntrackEntry, mode: 'dump' | 'first' | 'ended' | 'late'): void {
    const id = `${entry.id} ${tupleKey(entry.original)}`
    let connection = followed.get(id)
    if (connection === undefined) {
      const begun = follow(entry)
      if (begun === null) return
      connection = begun
      followed.set(id, connection)
      byTuple.set(tupleKey(connection.tuple), connection)
    }
    connection.missing = 0
    if (!claim(connection)) {
      const isOld = mode === 'first'
      // The log may be a moment behind the table: look again before giving up.
      if (!isOld && mode !== 'late' && connection.held === 0) {
        if (mode === 'ended') late.push(entry)
        else connection.held += 1
        return
      }
      for (const end of connection.ends)
        if (end.enforced === null) {
          end.enforced = presentTrace(model, connection.packet, end.end === 'src' ? 'egress' : 'ingress')
          end.started ||= isOld
        }
      // From before this agent: its past was counted by the one before, or by nobody.
      if (isOld) connection.last = entry
    }
    tell(connection, entry, mode === 'ended' || mode === 'late')
    if (mode === 'ended' || mode === 'late') drop(id, connection)
  }

  function drop(id: string, connection: Followed): void {
    followed.delete(id)
    const key = tupleKey(connection.tuple)
    if (byTuple.get(key) === connection) byTuple.delete(key)
  }

  /** Tells what has gone through since the last time. */
  function tell(connection: Followed, entry: ConntrackEntry, isOver: boolean): void {
    const past = connection.last
    const grown = (counter: 'originalPackets' | 'originalBytes' | 'replyPackets' | 'replyBytes') =>
      Math.max(0, entry[counter] - (past?.[counter] ?? 0))
    const forwardPackets = grown('originalPackets')
    const forwardBytes = grown('originalBytes')
    const backPackets = grown('replyPackets')
    const backBytes = grown('replyBytes')
    const ends = isOver || (entry.tcpState ?? 0) >= tcpTimeWait
    const completed = ends && !connection.completed ? 1 : 0
    connection.last = entry
    connection.completed ||= ends
    for (const end of connection.ends) {
      const packets = Math.max(0, forwardPackets - end.deniedPackets)
      const bytes = Math.max(0, forwardBytes - end.deniedBytes)
      end.deniedPackets = Math.max(0, end.deniedPackets - forwardPackets)
      end.deniedBytes = Math.max(0, end.deniedBytes - forwardBytes)
      const started = end.started ? 0 : 1
      if (packets + bytes + backPackets + backBytes + started + completed === 0) continue
      end.started = true
      emit({
        reporter: end.end,
        action: 'allow',
        packet: connection.packet,
        enforced: end.enforced ?? [],
        service: connection.service,
        ...discriminator(connection.tuple),
        source: connection.source,
        destination: connection.destination,
        bytesIn: end.end === 'src' ? backBytes : bytes,
        bytesOut: end.end === 'src' ? bytes : backBytes,
        packetsIn: end.end === 'src' ? backPackets : packets,
        packetsOut: end.end === 'src' ? packets : backPackets,
        started,
        completed,
      })
    }
  }

  return {
    judged(judged) {
      const key = tupleKey(judged.tuple)
      const attempt = attemptOf(key, judged.tuple)
      const { addressed, tuple } = judged
      attempt.service =
        (addressed === null ? null : model.service(addressed.ip, addressed.port, tuple.protocol)) ??
        byTuple.get(key)?.service ??
        attempt.service
      const end: End = judged.direction === 'egress' ? 'src' : 'dst'
      const enforced = traceOf(judged.prefixes.map(deps.hit), judged.verdict, judged.direction, attempt.packet, model)
      const before = attempt.ends[end]
      const seen: Seen =
        before !== null && before.verdict === judged.verdict && sameTrace(before.enforced, enforced)
          ? before
          : { verdict: judged.verdict, enforced, packets: 0, bytes: 0, started: false }
      seen.packets += judged.packets
      seen.bytes += judged.bytes
      attempt.ends[end] = seen
      if (judged.verdict === 'deny') {
        for (const known of byTuple.get(key)?.ends ?? []) {
          // The table counted the packets before the rule dropped them.
          if (end === 'dst' && known.end === 'src') continue
          known.deniedPackets += judged.packets
          known.deniedBytes += judged.bytes
        }
        emitLogged(attempt, end, seen)
      }
      // Let out by the source and dropped by the destination on the same node: the table never has such a connection.
      const { src, dst } = attempt.ends
      if (dst?.verdict === 'deny' && src?.verdict === 'allow' && src.packets > 0) emitLogged(attempt, 'src', src)
    },
    dumped(entries, complete) {
      for (const entry of late.splice(0)) observe(entry, 'late')
      for (const entry of entries) observe(entry, isFirstDump ? 'first' : 'dump')
      isFirstDump = false
      if (!complete) return
      dumps += 1
      const present = new Set(entries.map((entry) => `${entry.id} ${tupleKey(entry.original)}`))
      for (const [id, connection] of followed) {
        if (present.has(id)) continue
        connection.missing += 1
        if (connection.missing < 2) continue
        // Its end was not told (events were lost): what is known stands, and it is over.
        if (connection.last !== null) tell(connection, connection.last, true)
        drop(id, connection)
      }
      for (const [key, attempt] of attempts) if (dumps - attempt.dumps >= attemptDumps) forget(key, attempt)
    },
    ended(entries) {
      for (const entry of entries) observe(entry, 'ended')
    },
    get size() {
      return { connections: followed.size, attempts: attempts.size }
    },
  }
}

/** The connection after DNAT, as the rules saw it. */
function afterNat({ original, reply }: ConntrackEntry): Tuple {
  return {
    source: original.source,
    destination: reply.source,
    protocol: original.protocol,
    sourcePort: original.sourcePort,
    destinationPort: hasPorts(original.protocol) ? reply.sourcePort : original.destinationPort,
  }
}

const sameTrace = (a: readonly TraceEntry[], b: readonly TraceEntry[]) =>
  a.length === b.length &&
  a.every((entry, i) => {
    const other = b[i] as TraceEntry
    return (
      entry.ref.name === other.ref.name &&
      entry.ref.namespace === other.ref.namespace &&
      entry.ref.tier === other.ref.tier &&
      entry.ref.kind === other.ref.kind &&
      entry.action === other.action &&
      entry.ruleIndex === other.ruleIndex
    )
  })
