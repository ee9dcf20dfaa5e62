import type { HitMemory } from './hit-memory.ts'
import type { RuleHit } from './names.ts'
import type { Chain, NamedSet, Rule } from './ruleset.ts'

/** What one thing (a policy, a class of endpoints, the hooks) brings into the table. */
export interface Part {
  /** Chains of its own. */
  readonly chains: ReadonlyMap<string, Chain>
  /** Sets that it uses; others may use them too. */
  readonly sets: ReadonlyMap<string, NamedSet>
  readonly hits: ReadonlyMap<string, RuleHit>
  /** Whom to name when the kernel refuses it: the id of a policy, or the key of an endpoint. */
  readonly cause: string | null
}

export interface PlannedSet {
  readonly set: NamedSet
  readonly cause: string | null
  readonly users: number
}

/** What the table shall hold, put together from parts, and what of it has changed since it was last written. */
export interface TablePlan {
  readonly chains: ReadonlyMap<string, Chain & { readonly cause: string | null }>
  readonly sets: ReadonlyMap<string, PlannedSet>
  readonly changed: Changed
  /** Puts a part in place of the one that had the key; null takes it away. */
  put(key: string, part: Part | null): void
  /** Elements came to and left a set whose `elements` are changed in place. */
  elements(name: string, added: readonly string[], removed: readonly string[]): void
  /** All of it has been written. */
  written(): void
  /** Rules and elements in it. */
  readonly size: { readonly rules: number; readonly elements: number }
}

/** Names of chains and sets to be written again, or to be taken away when the plan has them no more. */
export interface Changed {
  /** With what each was when it was last written; null when it was not there. */
  readonly chains: ReadonlyMap<string, Chain | null>
  /** Of a set whose elements changed: the value that each had before, undefined when it was not there. `all` stands for every element. */
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, string | undefined> | 'all'>
}

/** Makes an empty plan. */
export function createTablePlan(hits: Pick<HitMemory, 'hold' | 'release'>): TablePlan {
  const parts = new Map<string, Part>()
  const chains = new Map<string, Chain & { readonly cause: string | null }>()
  const sets = new Map<string, { set: NamedSet; cause: string | null; users: number }>()
  const changed = {
    chains: new Map<string, Chain | null>(),
    sets: new Map<string, Map<string, string | undefined> | 'all'>(),
  }
  const size = { rules: 0, elements: 0 }

  function touched(name: string): Map<string, string | undefined> | null {
    const before = changed.sets.get(name)
    if (before === 'all') return null
    if (before !== undefined) return before
    const made = new Map<string, string | undefined>()
    changed.sets.set(name, made)
    return made
  }

  function putChain(name: string, chain: Chain | null, cause: string | null): void {
    const had = chains.get(name)
    size.rules += (chain?.rules.length ?? 0) - (had?.rules.length ?? 0)
    if (chain === null) chains.delete(name)
    else chains.set(name, { ...chain, cause })
    const before = changed.chains.get(name)
    if (before !== undefined) {
      if (isSameChain(before, chain)) changed.chains.delete(name)
    } else if (!isSameChain(had ?? null, chain)) changed.chains.set(name, had ?? null)
  }

  function useSet(name: string, set: NamedSet, cause: string | null): void {
    const had = sets.get(name)
    if (had === undefined) {
      sets.set(name, { set, cause, users: 1 })
      changed.sets.set(name, 'all')
      size.elements += set.elements.size
      return
    }
    had.users += 1
    if (had.set === set) return
    size.elements += set.elements.size - had.set.elements.size
    const before = touched(name)
    if (before !== null) {
      for (const [key, value] of had.set.elements)
        if (set.elements.get(key) !== value && !before.has(key)) before.set(key, value)
      for (const key of set.elements.keys())
        if (!had.set.elements.has(key) && !before.has(key)) before.set(key, undefined)
      if (before.size === 0) changed.sets.delete(name)
    }
    had.set = set
  }

  function leaveSet(name: string): void {
    const had = sets.get(name)
    if (had === undefined) return
    had.users -= 1
    if (had.users > 0) return
    sets.delete(name)
    size.elements -= had.set.elements.size
    changed.sets.set(name, 'all')
  }

  return {
    chains,
    sets,
    changed,
    size,
    put(key, part) {
      const had = parts.get(key)
      if (part === null) parts.delete(key)
      else parts.set(key, part)
      if (part !== null) hits.hold(part.hits)
      for (const [name, set] of part?.sets ?? []) useSet(name, set, part?.cause ?? null)
      for (const [name, chain] of part?.chains ?? []) putChain(name, chain, part?.cause ?? null)
      for (const name of had?.chains.keys() ?? []) if (part?.chains.has(name) !== true) putChain(name, null, null)
      for (const name of had?.sets.keys() ?? []) leaveSet(name)
      if (had !== undefined) hits.release(had.hits)
    },
    elements(name, added, removed) {
      if (!sets.has(name)) return
      size.elements += added.length - removed.length
      const before = touched(name)
      if (before === null) return
      for (const key of added) if (!before.has(key)) before.set(key, undefined)
      for (const key of removed) if (!before.has(key)) before.set(key, '')
    },
    written() {
      changed.chains.clear()
      changed.sets.clear()
    },
  }
}

const isSameChain = (a: Chain | null, b: Chain | null) =>
  a === b || (a !== null && b !== null && a.hook === b.hook && sameRules(a.rules, b.rules))

const sameRules = (a: readonly Rule[], b: readonly Rule[]) =>
  a.length === b.length && a.every((rule, index) => sameRule(rule, b[index] as Rule))

const sameRule = (a: Rule, b: Rule) => a.length === b.length && a.every((statement, index) => statement === b[index])
