import type { DomainAnswer, DomainChanges, ElementChange, KnownName, NamePair, SharedAddress } from './domain-facts.ts'
import type { DomainSet } from './domain-sets.ts'
import { createExpiryQueue } from './expiry-queue.ts'
import { createNameRegistry } from './name-registry.ts'
import { createPatternIndex } from './pattern-index.ts'

/** Bounds on what servers, hostile ones included, can make a node remember. */
export interface DomainLimits {
  readonly names: number
  /** Pairs of name and address. */
  readonly pairs: number
  readonly addressesPerName: number
  /** Names that lead to one name by CNAME and are credited with its new addresses. */
  readonly aliasesPerName: number
  /** Addresses counted for names because of one answer: its own and, by way of aliases, others'. */
  readonly creditsPerAnswer: number
}

/** What a node can afford: about 100 MB when all of it is used. */
export const domainLimits: DomainLimits = {
  names: 200_000,
  pairs: 400_000,
  addressesPerName: 512,
  aliasesPerName: 64,
  creditsPerAnswer: 20_000,
}

/**
 * Names and the addresses that DNS answers gave for them, until each ends; and the kernel sets that follow from both. Pure: time is
 * an argument, and what the kernel must be told is taken with `take`.
 *
 * An address counts for every name on the CNAME chain that led to it, for as long as the shortest-lived record on the way. An address
 * that is learned for a name later counts for its aliases too, while the alias lives.
 */
export interface DomainStore {
  /** Milliseconds that every address lives beyond what its record says. */
  extraMs: number
  readonly size: { readonly names: number; readonly pairs: number; readonly sets: number; readonly elements: number }
  /** Names and pairs dropped because a bound was reached. */
  readonly dropped: number
  learn(answer: DomainAnswer, now: number): void
  /** Drops what has ended. */
  expire(now: number): void
  /** Takes over the list of sets. Elements of sets that are no longer listed are not deleted one by one: the sets are going. */
  replaceSets(sets: readonly DomainSet[]): void
  members(set: string): Iterable<string>
  names(ip: string): string[]
  /** Up to `limit` ambiguous addresses. */
  shared(limit: number): SharedAddress[]
  known(): Iterable<KnownName>
  restore(names: readonly KnownName[], now: number): void
  /** Drops everything learned. */
  clear(): void
  take(): DomainChanges
}

/** A client may use an address at once although its record, of no life at all, is not to be kept (RFC 1035, 3.2.1). */
const leastLifeMs = 10_000
/** Longer lives are cut (RFC 8767, 4): a server must not make a node remember for years. */
const longestLifeMs = 7 * 86_400_000
/** Longest way from name to name by CNAME that an address is credited along. */
export const chainLimit = 16

interface NameRecord {
  readonly name: string
  readonly addresses: Map<string, Life>
  /** Names whose CNAME leads here, and until when. */
  readonly aliases: Map<string, number>
  aliasLife: Life | null
  sets: KernelSet[]
}

/** How long an address of a name, or an alias of it (`ip` null), lives; waits in the queue until `due`, which is not after its end. */
interface Life {
  readonly record: NameRecord
  readonly ip: string | null
  due: number
  until: number
}

interface KernelSet {
  readonly spec: DomainSet
  readonly names: Set<NameRecord>
  /** How many names give each address. */
  readonly counts: Map<string, number>
}

const familyOf = (ip: string) => (ip.includes(':') ? 6 : 4)

/** Makes an empty store. */
export function createDomainStore(limits: DomainLimits = domainLimits): DomainStore {
  const records = createNameRegistry<NameRecord>()
  const byAddress = new Map<string, Set<NameRecord>>()
  const sets = new Map<string, KernelSet>()
  const index = createPatternIndex<KernelSet>()
  const queue = createExpiryQueue<Life>()
  let pairs = 0
  let elementCount = 0
  let dropped = 0
  /** What is left of what the present answer may credit. */
  let budget = 0
  let elements: ElementChange[] = []
  let learned: NamePair[] = []
  let forgotten: NamePair[] = []

  const store: DomainStore = {
    extraMs: 0,
    get size() {
      return { names: records.size, pairs, sets: sets.size, elements: elementCount }
    },
    get dropped() {
      return dropped
    },
    learn({ chain, addresses }, now) {
      const until = (ttl: number) => now + Math.min(longestLifeMs, Math.max(leastLifeMs, ttl * 1000 + store.extraMs))
      const last = chain.at(-1)
      if (last === undefined || chain.length > chainLimit) return
      budget = limits.creditsPerAnswer
      for (let i = chain.length - 2; i >= 0; i -= 1) {
        const { name, ttl } = chain[i] as { name: string; ttl: number }
        link(name, recordOf((chain[i + 1] as { name: string }).name), until(ttl), now)
      }
      if (addresses.length > 0) {
        const target = recordOf(last.name)
        for (const { ip, ttl } of addresses) credit(target, ip, until(ttl), now, 0)
      }
      keepBounds()
    },
    expire(now) {
      for (let life = queue.take(now); life !== null; life = queue.take(now)) {
        const { record, ip } = life
        if (!isCurrent(life)) continue
        if (ip === null) {
          for (const [alias, until] of record.aliases) if (until <= now) record.aliases.delete(alias)
          life.until = Math.min(...record.aliases.values())
          if (record.aliases.size === 0) record.aliasLife = null
        } else if (life.until <= now) discredit(record, ip)
        if (isCurrent(life)) {
          life.due = life.until
          queue.add(life)
        }
        if (record.addresses.size + record.aliases.size === 0) remove(record)
      }
    },
    replaceSets(list) {
      const listed = new Map(list.map((spec) => [spec.name, spec]))
      for (const [name, set] of sets) if (!listed.has(name)) removeSet(set)
      for (const [name, spec] of listed) if (!sets.has(name)) addSet(spec)
    },
    members: (set) => sets.get(set)?.counts.keys() ?? [],
    names: (ip) => [...(byAddress.get(ip) ?? [])].map(({ name }) => name),
    shared(limit) {
      const found: SharedAddress[] = []
      for (const { spec, names, counts } of sets.values()) {
        for (const ip of counts.keys()) {
          const holders = [...(byAddress.get(ip) ?? [])]
          const others = holders.filter((record) => !names.has(record)).map(({ name }) => name)
          if (others.length === 0) continue
          const allowed = holders.filter((record) => names.has(record)).map(({ name }) => name)
          found.push({ ip, set: spec.name, allowed: allowed.sort(), others: others.sort() })
          if (found.length >= limit) return found
        }
      }
      return found
    },
    *known() {
      for (const { name, addresses } of records.all())
        if (addresses.size > 0) yield { name, addresses: [...addresses].map(([ip, { until }]) => [ip, until]) }
    },
    restore(names, now) {
      for (const { name, addresses } of names) {
        const alive = addresses.filter(([, until]) => until > now)
        if (alive.length === 0) continue
        const record = recordOf(name)
        budget = limits.creditsPerAnswer
        for (const [ip, until] of alive) credit(record, ip, until, now, 0)
      }
      keepBounds()
    },
    clear() {
      for (const record of [...records.all()]) remove(record)
    },
    take() {
      const changes = { elements, learned, forgotten }
      elements = []
      learned = []
      forgotten = []
      return changes
    },
  }
  return store

  /** False of a life that was ended before its time. */
  function isCurrent(life: Life): boolean {
    const { record, ip } = life
    return records.get(record.name) === record && (ip === null ? record.aliasLife : record.addresses.get(ip)) === life
  }

  /** The record of a name, made the youngest of its kind. */
  function recordOf(name: string): NameRecord {
    let record = records.get(name)
    if (record === undefined) {
      record = { name, addresses: new Map(), aliases: new Map(), aliasLife: null, sets: [...index.owners(name)] }
      for (const set of record.sets) set.names.add(record)
    }
    records.touch(record, record.sets.length > 0)
    return record
  }

  /** `alias` leads to `target`, and has its addresses from now on. */
  function link(alias: string, target: NameRecord, until: number, now: number): void {
    if (alias === target.name) return
    const ends = Math.max(target.aliases.get(alias) ?? 0, until)
    target.aliases.delete(alias)
    target.aliases.set(alias, ends)
    if (target.aliases.size > limits.aliasesPerName) {
      const [oldest] = target.aliases.keys()
      target.aliases.delete(oldest as string)
    }
    if (target.aliasLife === null) {
      target.aliasLife = { record: target, ip: null, due: until, until }
      queue.add(target.aliasLife)
    }
    for (const [ip, life] of target.addresses)
      if (life.until > now) credit(recordOf(alias), ip, Math.min(life.until, ends), now, 0)
  }

  /** Lives only grow here, so a loop of aliases comes to an end. */
  function credit(record: NameRecord, ip: string, until: number, now: number, depth: number): void {
    const known = record.addresses.get(ip)
    if (known !== undefined && known.until >= until) return
    if (budget <= 0) {
      dropped += 1
      return
    }
    budget -= 1
    // Put at the end again: the address that was told longest ago is the first to go.
    record.addresses.delete(ip)
    if (known !== undefined) {
      known.until = until
      record.addresses.set(ip, known)
    } else {
      const [oldest] = record.addresses.size >= limits.addressesPerName ? record.addresses.keys() : []
      if (oldest !== undefined) {
        discredit(record, oldest)
        dropped += 1
      }
      const life = { record, ip, due: until, until }
      record.addresses.set(ip, life)
      queue.add(life)
      pairs += 1
      learned.push([record.name, ip])
      const holders = byAddress.get(ip)
      if (holders === undefined) byAddress.set(ip, new Set([record]))
      else holders.add(record)
      for (const set of record.sets) count(set, ip)
    }
    if (depth >= chainLimit) return
    for (const [alias, ends] of record.aliases)
      if (ends > now) credit(recordOf(alias), ip, Math.min(until, ends), now, depth + 1)
  }

  function discredit(record: NameRecord, ip: string): void {
    record.addresses.delete(ip)
    pairs -= 1
    forgotten.push([record.name, ip])
    const holders = byAddress.get(ip)
    holders?.delete(record)
    if (holders?.size === 0) byAddress.delete(ip)
    for (const set of record.sets) uncount(set, ip)
  }

  function count(set: KernelSet, ip: string): void {
    if (set.spec.family !== familyOf(ip)) return
    const names = set.counts.get(ip) ?? 0
    set.counts.set(ip, names + 1)
    if (names > 0) return
    elementCount += 1
    elements.push({ set: set.spec.name, op: 'add', ip })
  }

  function uncount(set: KernelSet, ip: string): void {
    const names = set.counts.get(ip)
    if (names === undefined) return
    if (names > 1) return void set.counts.set(ip, names - 1)
    set.counts.delete(ip)
    elementCount -= 1
    elements.push({ set: set.spec.name, op: 'delete', ip })
  }

  function remove(record: NameRecord): void {
    for (const ip of [...record.addresses.keys()]) discredit(record, ip)
    for (const set of record.sets) set.names.delete(record)
    records.delete(record)
  }

  function keepBounds(): void {
    while (records.size > limits.names || pairs > limits.pairs) {
      const oldest = records.oldest()
      if (oldest === undefined) return
      dropped += 1
      remove(oldest)
    }
    if (queue.size > 2 * (limits.names + limits.pairs)) queue.replace(lives())
  }

  /** Lives that have not been ended before their time: those that have still lie in the queue. */
  function* lives(): Generator<Life> {
    for (const { addresses, aliasLife } of records.all()) {
      yield* addresses.values()
      if (aliasLife !== null) yield aliasLife
    }
  }

  function addSet(spec: DomainSet): void {
    const set: KernelSet = { spec, names: new Set(), counts: new Map() }
    sets.set(spec.name, set)
    for (const pattern of spec.patterns) {
      index.add(pattern, set)
      for (const record of records.candidates(pattern)) {
        if (set.names.has(record) || !index.owners(record.name).has(set)) continue
        set.names.add(record)
        record.sets.push(set)
        records.touch(record, true)
        for (const ip of record.addresses.keys()) count(set, ip)
      }
    }
  }

  function removeSet(set: KernelSet): void {
    sets.delete(set.spec.name)
    elementCount -= set.counts.size
    for (const pattern of set.spec.patterns) index.remove(pattern, set)
    for (const record of set.names) {
      record.sets = record.sets.filter((other) => other !== set)
      if (record.sets.length === 0) records.touch(record, false)
    }
  }
}
