import type { FlowMark, FlowUpdate, ServicePort, TraceEntry, Verdict } from '@margay/schemas'
import type { Tuple } from '../netlink/conntrack.ts'
import type { RuleHit } from '../nftables/names.ts'
import type { Judged } from './assembly.ts'
import { tupleKey } from './ip-packet.ts'
import { countersOf, type End, type Subject, type SubjectDeps, subjectOf } from './subject.ts'
import { presentTrace, traceOf } from './trace.ts'

/**
 * Connections as the log tells them, until the connection table shows them. Denied packets never get there, so they are told from here,
 * at once; so are packets that the source let out and the destination dropped on the same node. An allowed end waits to be
 * claimed; when no connection appears, something outside policy dropped it, and the log is all there is to count.
 */
export interface Attempts {
  /** Takes a verdict; `service` is what the connection is known to have addressed. */
  judged(judged: Judged, service: ServicePort | null): void
  /** Takes the Deny of a host endpoint on the way; the end at this node tells of it. */
  stopped(judged: Judged, end: End): void
  /** The rules that allowed an end, for the connection that the table now shows; null when the log has not told any. */
  claim(tuple: Tuple, end: End): { readonly enforced: readonly TraceEntry[]; readonly started: boolean } | null
  has(tuple: Tuple): boolean
  /** The whole table has been read once more. */
  aged(): void
  readonly size: number
}

/** What attempts are named with and told to. */
export interface AttemptsDeps extends SubjectDeps {
  /** The rule behind a log prefix. */
  readonly hit: (prefix: string) => RuleHit | null
  readonly emit: (update: FlowUpdate) => void
}

/** What the log said about one end. Counters hold what has not been told yet. */
interface Seen {
  readonly verdict: Verdict
  readonly enforced: readonly TraceEntry[]
  /** Rules of the host endpoint that denied it on the way. */
  readonly transit: readonly TraceEntry[]
  /** Allowed before DNAT: if no connection claims it, it went elsewhere, and other ends tell. */
  readonly isEarly: boolean
  packets: number
  bytes: number
  started: boolean
  readonly mark: FlowMark
}

/** What nothing has been said about yet. */
const unseen = () => ({ transit: [], isEarly: false, packets: 0, bytes: 0, started: false, mark: { interval: -1 } })

interface Attempt {
  readonly subject: Subject
  service: ServicePort | null
  ends: { src: Seen | null; dst: Seen | null }
  /** Readings of the table made when it was last heard of. */
  heard: number
}

/** Readings of the table that an allowed attempt waits for its connection. */
const patience = 3
/** Attempts kept at most; a scan of denied ports makes one each. */
const limit = 100_000

/** Makes an empty memory of attempts. */
export function createAttempts(deps: AttemptsDeps): Attempts {
  const { model, emit } = deps
  const attempts = new Map<string, Attempt>()
  let readings = 0

  function tell(attempt: Attempt, end: End, seen: Seen): void {
    const count = seen.started ? 0 : 1
    emit({
      ...attempt.subject,
      reporter: end,
      action: seen.verdict,
      enforced: seen.enforced,
      ...(seen.transit.length > 0 ? { transit: seen.transit } : {}),
      service: attempt.service,
      ...countersOf(end, seen, { packets: 0, bytes: 0 }),
      started: count,
      completed: count,
      mark: seen.mark,
    })
    seen.started = true
    seen.packets = 0
    seen.bytes = 0
  }

  function attemptOf({ tuple, addressed }: Judged): Attempt {
    const key = tupleKey(tuple)
    let attempt = attempts.get(key)
    if (attempt === undefined) {
      if (attempts.size >= limit) {
        const [oldest, first] = attempts.entries().next().value as [string, Attempt]
        forget(oldest, first)
      }
      attempt = {
        subject: subjectOf(deps, tuple, addressed),
        service: null,
        ends: { src: null, dst: null },
        heard: readings,
      }
      attempts.set(key, attempt)
    }
    attempt.heard = readings
    return attempt
  }

  function forget(key: string, attempt: Attempt): void {
    attempts.delete(key)
    for (const end of ['src', 'dst'] as const) {
      const seen = attempt.ends[end]
      if (seen?.verdict === 'allow' && !seen.isEarly && seen.packets > 0) tell(attempt, end, seen)
    }
  }

  function addressedService({ addressed, tuple }: Judged): ServicePort | null {
    return addressed === null ? null : model.service(addressed.ip, addressed.port, tuple.protocol)
  }

  return {
    judged(judged, service) {
      const { direction, verdict } = judged
      const attempt = attemptOf(judged)
      attempt.service = addressedService(judged) ?? service ?? attempt.service
      const end: End = direction === 'egress' ? 'src' : 'dst'
      const enforced = traceOf(judged.prefixes.map(deps.hit), verdict, direction, attempt.subject.packet, model)
      const before = attempt.ends[end]
      // It was stopped on the way, which has been told; what the ends said before may come later.
      const isStopped = [attempt.ends.src, attempt.ends.dst].some((seen) => (seen?.transit.length ?? 0) > 0)
      if (isStopped && verdict === 'allow') return
      const seen: Seen =
        before !== null && before.verdict === verdict && sameTrace(before.enforced, enforced)
          ? before
          : { ...unseen(), verdict, enforced, isEarly: judged.stage === 'pre-dnat' }
      seen.packets += judged.packets
      seen.bytes += judged.bytes
      attempt.ends[end] = seen
      if (verdict === 'deny') tell(attempt, end, seen)
      const { src, dst } = attempt.ends
      if (dst?.verdict === 'deny' && src?.verdict === 'allow' && src.packets > 0) tell(attempt, 'src', src)
    },
    stopped(judged, end) {
      const attempt = attemptOf(judged)
      const { packet } = attempt.subject
      const transit = traceOf(judged.prefixes.map(deps.hit), 'deny', judged.direction, packet, model)
      // Where packets leave, the end itself has let them out or in before; what the log says of that may come later.
      const enforced =
        judged.direction === 'egress' ? presentTrace(model, packet, end === 'src' ? 'egress' : 'ingress') : []
      const before = attempt.ends[end]
      const seen: Seen =
        before?.verdict === 'deny' && sameTrace(before.transit, transit)
          ? before
          : { ...unseen(), verdict: 'deny', enforced, transit }
      seen.packets += judged.packets
      seen.bytes += judged.bytes
      // What the other end allowed at this node never left it.
      attempt.ends = end === 'src' ? { src: seen, dst: null } : { src: null, dst: seen }
      tell(attempt, end, seen)
    },
    claim(tuple, end) {
      const key = tupleKey(tuple)
      const attempt = attempts.get(key)
      const seen = attempt?.ends[end]
      if (attempt === undefined || seen?.verdict !== 'allow') return null
      attempt.ends[end] = null
      if (attempt.ends.src === null && attempt.ends.dst === null) attempts.delete(key)
      return seen
    },
    has: (tuple) => attempts.has(tupleKey(tuple)),
    aged() {
      readings += 1
      for (const [key, attempt] of attempts) if (readings - attempt.heard >= patience) forget(key, attempt)
    },
    get size() {
      return attempts.size
    },
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
