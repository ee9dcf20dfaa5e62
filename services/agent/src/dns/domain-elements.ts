import { MargayError } from '@margay/kit/errors'
import type { TableChange } from '../nftables/wire/change.ts'
import type { ElementChange, NamePair } from './domain-facts.ts'
import type { DomainSet } from './domain-sets.ts'
import type { DomainStore } from './domain-store.ts'

/**
 * Brings what the store knows into the elements of the kernel's sets. What an agent before this one left in them, and the cache file does
 * not know, stays for a while: a restart must not take away access that was learned just before it.
 */
export interface DomainElements {
  /** Tells the kernel what the store has to tell; gives the names and addresses that came and went. */
  apply(): { readonly learned: readonly NamePair[]; readonly forgotten: readonly NamePair[] }
  /** Takes over the list of sets and fills them, a part with each step; others' work fits in between. */
  fill(sets: readonly DomainSet[]): Generator<void>
  /** Takes away what was left by an agent before and not learned again in time. */
  expire(now: number): void
  /** Forgets everything learned. */
  clear(): void
  /** Changes that the kernel refused. */
  readonly refused: number
  /** True when the kernel could not be told something; filling the sets puts that right. */
  readonly isIncomplete: boolean
}

/** What is needed of a kernel. */
export interface ElementKernel {
  /** Does all of the changes, or throws and has done none. */
  commit(changes: readonly TableChange[]): void
  /** Null when there is no such set. */
  members(set: string): string[] | null
}

/** How long elements live that were there before the agent and that it knows nothing of. */
const adoptedLifeMs = 300_000
/** Elements of one transaction of a fill: some tenths of a millisecond. */
const fillStep = 500

const specs = { 4: 'type ipv4_addr;', 6: 'type ipv6_addr;' } as const
const familyOf = (ip: string) => (ip.includes(':') ? 6 : 4)

/** Makes the elements of a store. */
export function createDomainElements(deps: {
  readonly store: DomainStore
  readonly kernel: ElementKernel
  readonly now: () => number
}): DomainElements {
  const { store, kernel, now } = deps
  /** Elements of others by set, and until when. */
  const adopted = new Map<string, Map<string, number>>()
  const seen = new Set<string>()
  /** False when nothing that was learned before may be kept. */
  let adopts = true
  let refused = 0
  let isIncomplete = false
  let later: { learned: NamePair[]; forgotten: NamePair[] } = { learned: [], forgotten: [] }

  function write(changes: readonly ElementChange[]): void {
    if (changes.length === 0) return
    const steps: { set: string; op: 'add' | 'delete'; ips: string[] }[] = []
    for (const { set, op, ip } of changes) {
      adopted.get(set)?.delete(ip)
      const last = steps.at(-1)
      if (last?.set === set && last.op === op) last.ips.push(ip)
      else steps.push({ set, op, ips: [ip] })
    }
    commit(steps.map(({ set, op, ips }) => changeOf(set, op, ips)))
  }

  /** What the kernel refuses as a whole is tried piece by piece: a set may be gone already, and the others must be told all the same. */
  function commit(changes: readonly TableChange[]): void {
    try {
      kernel.commit(changes)
    } catch (error) {
      const [first] = changes
      if (first?.type !== 'elements') return
      const ips = [...first.elements] as string[]
      const isRefused = error instanceof MargayError && error.code === 'NFT_REFUSED'
      if (isRefused && changes.length > 1) for (const change of changes) commit([change])
      else if (isRefused && ips.length > 1) for (const ip of ips) commit([changeOf(first.set, first.op, [ip])])
      else refused += 1
      if (!isRefused) isIncomplete = true
    }
  }

  function* fillSet({ name }: DomainSet): Generator<void> {
    if (!seen.has(name)) {
      seen.add(name)
      const known = new Set(store.members(name))
      const strangers = (kernel.members(name) ?? []).filter((ip) => !known.has(ip))
      if (adopts) adopted.set(name, new Map(strangers.map((ip) => [ip, now() + adoptedLifeMs])))
      else if (strangers.length > 0) commit([changeOf(name, 'delete', strangers)])
    }
    const members = [...store.members(name)]
    for (let at = 0; at < members.length; at += fillStep) {
      // Some may have ended since the last step.
      const present = new Set(store.members(name))
      const part = members.slice(at, at + fillStep).filter((ip) => present.has(ip))
      if (part.length > 0) commit([changeOf(name, 'add', part)])
      yield
    }
  }

  return {
    get refused() {
      return refused
    },
    get isIncomplete() {
      return isIncomplete
    },
    apply() {
      const { elements, learned, forgotten } = store.take()
      write(elements)
      const told = { learned: [...later.learned, ...learned], forgotten: [...later.forgotten, ...forgotten] }
      later = { learned: [], forgotten: [] }
      return told
    },
    *fill(sets) {
      isIncomplete = false
      // What was to be told before is told first; what new sets hold is told in steps.
      const { elements, ...names } = store.take()
      write(elements)
      later.learned.push(...names.learned)
      later.forgotten.push(...names.forgotten)
      store.replaceSets(sets)
      store.take()
      const listed = new Set(sets.map(({ name }) => name))
      for (const name of seen) if (!listed.has(name)) seen.delete(name)
      for (const name of adopted.keys()) if (!listed.has(name)) adopted.delete(name)
      for (const set of sets) yield* fillSet(set)
    },
    expire(time) {
      for (const [set, ips] of adopted) {
        const ended = [...ips].filter(([, until]) => until <= time).map(([ip]) => ip)
        for (const ip of ended) ips.delete(ip)
        if (ended.length > 0) commit([changeOf(set, 'delete', ended)])
      }
    },
    clear() {
      adopts = false
      store.clear()
      for (const ips of adopted.values()) for (const ip of ips.keys()) ips.set(ip, 0)
      this.expire(0)
    },
  }
}

function changeOf(set: string, op: 'add' | 'delete', ips: readonly string[]): TableChange {
  return { type: 'elements', op, kind: 'set', set, spec: specs[familyOf(ips[0] as string)], elements: ips }
}
