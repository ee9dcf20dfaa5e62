import {
  type Endpoint,
  type FlowMark,
  hasPorts,
  type ServicePort,
  type TcpSample,
  type TraceEntry,
} from '@margay/schemas'
import type { SocketState } from '../bpf/tcp-statistics.ts'
import { type ConntrackEntry, type Tuple, tcpTimeWait } from '../netlink/conntrack.ts'
import type { Judged } from './assembly.ts'
import { type AttemptsDeps, createAttempts } from './attempts.ts'
import { tupleKey } from './ip-packet.ts'
import { sampleOf, type ToldLosses } from './sockets.ts'
import { countersOf, type End, type Subject, subjectOf } from './subject.ts'
import { isOutsidePolicy, presentTrace } from './trace.ts'
import { addressedOf, afterNat, natOf } from './translation.ts'

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

/** What connections are named with and told to. */
export interface ConnectionsDeps extends AttemptsDeps {
  /** The endpoint of this node that has the address. */
  readonly local: (ip: string) => Endpoint | null
  /** True for addresses of the node itself, whose traffic to its pods is not judged. */
  readonly isHost: (ip: string) => boolean
  /** Another text when other addresses of the node are guarded by host endpoints. */
  readonly extent: () => string
  /** The TCP socket of a pod that sends such packets, where the kernel tells how it is. */
  readonly socketOf?: (sent: Tuple) => SocketState | null
}

interface FollowedEnd {
  readonly end: End
  enforced: readonly TraceEntry[] | null
  /** The log had told nothing when it was first told of: what it tells later is not another connection. */
  isPresumed: boolean
  started: boolean
  /** Counted by the table but denied by a rule that came later; told from the log. */
  deniedPackets: number
  deniedBytes: number
  readonly mark: FlowMark
  /** Losses of its socket; null when those so far are not to be told. */
  told: ToldLosses | null
}

interface Followed {
  readonly tuple: Tuple
  readonly subject: Subject
  readonly service: ServicePort | null
  readonly ends: readonly FollowedEnd[]
  last: ConntrackEntry | null
  completed: boolean
  /** It was looked at before, while a verdict was missing. */
  isHeld: boolean
  /** Complete dumps that it was missing from. */
  missing: number
}

/** How an entry came: in the first dump, in a later one, by its end, or by its end some time ago. */
type Occasion = 'first' | 'dump' | 'ended' | 'late'

/** Makes an empty table of connections. */
export function createConnections(deps: ConnectionsDeps): Connections {
  const { model, emit } = deps
  const attempts = createAttempts(deps)
  const followed = new Map<string, Followed>()
  const byTuple = new Map<string, Followed>()
  const late: ConntrackEntry[] = []
  /** Ended before the log told of them; it may yet, within a few dumps. */
  let gone = new Map<string, Followed>()
  let goneBefore: ReadonlyMap<string, Followed> = gone
  /** Kernel's ids of connections that ended since the last dump. */
  const endedMeanwhile = new Set<number>()
  let isFirstDump = true
  let extent = deps.extent()

  const idOf = (entry: ConntrackEntry) => `${entry.id} ${tupleKey(entry.original)}`

  /** True when policy of an endpoint of this node judges connections at this end. */
  function isJudged(end: End, { source, destination }: Tuple): boolean {
    const endpoint = deps.local(end === 'src' ? source : destination)
    if (endpoint === null) return false
    if (endpoint.kind === 'wep') return end === 'src' || !deps.isHost(source)
    // A host endpoint has no part in what stays on the node, unless packets of workloads are left to it.
    if (deps.isHost(source) && deps.isHost(destination)) return false
    const isWorkload = deps.local(end === 'src' ? destination : source)?.kind === 'wep'
    return !isWorkload || (end === 'dst' && model.endpointToHostAction(endpoint.node) === 'return')
  }

  /** The end that is a workload of this node. */
  function endAt({ source, destination }: Tuple): End | null {
    if (deps.local(source)?.kind === 'wep') return 'src'
    return deps.local(destination)?.kind === 'wep' ? 'dst' : null
  }

  /** Begins to follow a connection; null when no end of it is an endpoint of this node. */
  function follow(entry: ConntrackEntry): Followed | null {
    const tuple = afterNat(entry)
    const ends: FollowedEnd[] = []
    const add = (end: End) =>
      ends.push({
        end,
        enforced: null,
        isPresumed: false,
        started: false,
        deniedPackets: 0,
        deniedBytes: 0,
        mark: { interval: -1 },
        told: { retransmissions: 0, lost: 0 },
      })
    if (isJudged('src', tuple)) add('src')
    if (isJudged('dst', tuple)) add('dst')
    if (ends.length === 0) return null
    const { destination, destinationPort, protocol } = entry.original
    const connection: Followed = {
      tuple,
      subject: subjectOf(deps, tuple, addressedOf(entry)),
      service: hasPorts(protocol) ? model.service(destination, destinationPort, protocol) : null,
      ends,
      last: null,
      completed: false,
      isHeld: false,
      missing: 0,
    }
    followed.set(idOf(entry), connection)
    byTuple.set(tupleKey(tuple), connection)
    return connection
  }

  function drop(id: string, connection: Followed): void {
    followed.delete(id)
    const key = tupleKey(connection.tuple)
    if (byTuple.get(key) === connection) byTuple.delete(key)
  }

  /** Takes the traces that the log has told; true when no end lacks one. */
  function claim({ tuple, ends }: Followed): boolean {
    for (const end of ends) {
      const claimed = end.enforced === null ? attempts.claim(tuple, end.end) : null
      if (claimed === null) continue
      end.enforced = claimed.enforced
      end.started = claimed.started
    }
    return ends.every(({ enforced }) => enforced !== null)
  }

  /** True when the log has nothing to tell about the ends that lack a trace: policy is not asked about a failsafe port. */
  function isUnlogged({ subject, ends }: Followed): boolean {
    return ends.every(
      ({ end, enforced }) => enforced !== null || isOutsidePolicy(model, subject.packet, directionOf(end)),
    )
  }

  /** Settles for what policy says now, where the log told nothing. */
  function presume(connection: Followed, entry: ConntrackEntry, isOld: boolean): void {
    for (const end of connection.ends) {
      if (end.enforced !== null) continue
      end.enforced = presentTrace(model, connection.subject.packet, directionOf(end.end))
      end.isPresumed = true
      end.started ||= isOld
      if (isOld) end.told = null
    }
    if (!isOld) return
    // From before this agent: its past was counted by the one before, or by nobody.
    connection.last = entry
    connection.completed = isOver(entry)
  }

  function observe(entry: ConntrackEntry, occasion: Occasion): void {
    const id = idOf(entry)
    const connection = followed.get(id) ?? follow(entry)
    if (connection === null) return
    const hasEnded = occasion === 'ended' || occasion === 'late'
    connection.missing = 0
    if (!claim(connection)) {
      // The log may be a moment behind the table: look again before giving up.
      if ((occasion === 'dump' || occasion === 'ended') && !connection.isHeld && !isUnlogged(connection)) {
        connection.isHeld = true
        if (hasEnded) late.push(entry)
        return
      }
      presume(connection, entry, occasion === 'first')
    }
    tell(connection, entry, hasEnded)
    if (!hasEnded) return
    drop(id, connection)
    if (connection.ends.some(({ isPresumed }) => isPresumed)) gone.set(tupleKey(connection.tuple), connection)
  }

  /** Tells what has gone through since the last time. */
  function tell(connection: Followed, entry: ConntrackEntry, hasEnded: boolean): void {
    const past = connection.last
    const grown = (counter: 'originalPackets' | 'originalBytes' | 'replyPackets' | 'replyBytes') =>
      Math.max(0, entry[counter] - (past?.[counter] ?? 0))
    const forward = { packets: grown('originalPackets'), bytes: grown('originalBytes') }
    const back = { packets: grown('replyPackets'), bytes: grown('replyBytes') }
    const ends = hasEnded || isOver(entry)
    const completed = ends && !connection.completed ? 1 : 0
    connection.last = entry
    connection.completed ||= ends
    for (const end of connection.ends) {
      const passed = {
        packets: Math.max(0, forward.packets - end.deniedPackets),
        bytes: Math.max(0, forward.bytes - end.deniedBytes),
      }
      end.deniedPackets = Math.max(0, end.deniedPackets - forward.packets)
      end.deniedBytes = Math.max(0, end.deniedBytes - forward.bytes)
      const started = end.started ? 0 : 1
      if (passed.packets + passed.bytes + back.packets + back.bytes + started + completed === 0) continue
      end.started = true
      emit({
        ...connection.subject,
        reporter: end.end,
        action: 'allow',
        enforced: end.enforced ?? [],
        service: connection.service,
        ...(end.end === 'src' ? natOf(entry) : {}),
        ...tcpOf(end, entry),
        ...countersOf(end.end, passed, back),
        started,
        completed,
        mark: end.mark,
      })
    }
  }

  /** How the end's own socket is. */
  function tcpOf(end: FollowedEnd, { original, reply }: ConntrackEntry): { readonly tcp?: TcpSample } {
    const state = deps.socketOf?.(end.end === 'src' ? original : reply) ?? null
    if (state === null) return {}
    end.told ??= { retransmissions: state.retransmissions, lost: state.lost }
    return { tcp: sampleOf(state, end.told) }
  }

  /** Connections that a complete dump lacks are over, if their end is not told by the next one (events may be lost). */
  function endMissing(entries: readonly ConntrackEntry[]): void {
    const present = new Set(entries.map(idOf))
    for (const [id, connection] of followed) {
      if (present.has(id)) continue
      connection.missing += 1
      if (connection.missing < 2) continue
      if (connection.last !== null) tell(connection, connection.last, true)
      drop(id, connection)
    }
  }

  return {
    judged(judged) {
      const { stage, direction, verdict, tuple } = judged
      if (stage === 'forward' || (stage === 'pre-dnat' && !deps.isHost(tuple.destination))) {
        // What a host endpoint lets pass has an end elsewhere, which tells of it.
        if (verdict === 'deny') attempts.stopped(judged, endAt(tuple) ?? (direction === 'ingress' ? 'dst' : 'src'))
        return
      }
      const connection = byTuple.get(tupleKey(judged.tuple))
      if (judged.verdict === 'deny')
        for (const end of connection?.ends ?? []) {
          // The table counts packets before a rule drops them; what the destination denied, the source has sent all the same.
          if (judged.direction === 'ingress' && end.end === 'src') continue
          end.deniedPackets += judged.packets
          end.deniedBytes += judged.bytes
        }
      // The packet that opened it was sent again: the table counts it, and knows its rules.
      if (verdict === 'allow' && connection !== undefined && isClaimed(connection, direction)) return
      const key = tupleKey(tuple)
      const told = connection ?? gone.get(key) ?? goneBefore.get(key)
      const presumed = told?.ends.find(({ end, isPresumed }) => isPresumed && directionOf(end) === direction)
      if (verdict === 'allow' && presumed !== undefined) {
        presumed.isPresumed = false
        return
      }
      attempts.judged(judged, connection?.service ?? null)
    },
    dumped(entries, complete) {
      for (const entry of late.splice(0)) observe(entry, 'late')
      // Host endpoints come to connections that have gone on for long, which then are none of this agent's making either.
      const present = deps.extent()
      const isFirst = isFirstDump || present !== extent
      extent = present
      for (const entry of entries) {
        // A dump takes its time: what ended meanwhile is still in it, and is over all the same.
        if (endedMeanwhile.has(entry.id)) continue
        observe(entry, isFirst && !followed.has(idOf(entry)) ? 'first' : 'dump')
      }
      endedMeanwhile.clear()
      isFirstDump = false
      goneBefore = gone
      gone = new Map()
      if (!complete) return
      endMissing(entries)
      attempts.aged()
    },
    ended(entries) {
      for (const entry of entries) {
        if (entry.id !== 0) endedMeanwhile.add(entry.id)
        // Before the first dump nobody knows how much of it was counted by the agent before.
        if (isFirstDump && !attempts.has(afterNat(entry))) continue
        observe(entry, 'ended')
      }
    },
    get size() {
      return { connections: followed.size, attempts: attempts.size }
    },
  }
}

const isClaimed = ({ ends, last }: Followed, direction: Judged['direction']) =>
  last !== null &&
  !isOver(last) &&
  ends.some(({ end, enforced }) => directionOf(end) === direction && enforced !== null)

const directionOf = (end: End) => (end === 'src' ? 'egress' : 'ingress')

/** A TCP connection counts as ended from TIME_WAIT on, others when the kernel forgets them. */
const isOver = ({ tcpState }: ConntrackEntry) => (tcpState ?? 0) >= tcpTimeWait
