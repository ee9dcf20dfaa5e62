import type { PolicyRef, Rule as PolicyRule, SetId } from '@margay/schemas'
import type { AddressSets } from './address-sets.ts'
import type { DenialOptions } from './denial.ts'
import { type Place, type PolicyEntry, policyChains } from './policy-chains.ts'
import { createSetCollector, createSetMemo } from './sets.ts'
import type { Part, TablePlan } from './table-plan.ts'

/** The rules of a policy or profile at a place. */
export interface UnitSource {
  readonly id: string
  readonly ref: PolicyRef
  readonly rules: readonly PolicyRule[]
  readonly place: Place
}

/** The chains of policies and profiles, each at the places where it is asked; rendered again only when its own rules change, or a set's shape. */
export interface PolicyUnits {
  /** Somebody asks a unit, by its key; rules other than before are rendered by the next `refresh`. */
  use(source: UnitSource, user: string): string
  leave(key: string, user: string): void
  /** How a unit is called; null when it has nothing to say. */
  entry(key: string): PolicyEntry | null
  /** Marks the units whose rules depend on a set, those of a policy or profile, or all. */
  reshaped(id: SetId): void
  all(): void
  /** Renders what is marked. Returns the users of units that are called in another way than before. */
  refresh(denial: DenialOptions): Set<string>
  /** The kernel holds all that was rendered. */
  written(): void
  /** Goes back to what the kernel holds of a policy, because it refused this; returns the users of its units, none when there is no such policy. */
  refuse(id: string, reason: string): Set<string>
  /** Policies that the kernel refused, with its reason. Their last good form stays until they change. */
  readonly refused: ReadonlyMap<string, string>
  /** True for a refused policy that has no good form: it counts as if it were not there. */
  isAbsent(id: string): boolean
  /** Who asks a policy or profile anywhere. */
  usersOf(id: string): ReadonlySet<string>
  /** Number of policies, profiles not among them, that are asked. */
  readonly policies: number
}

interface Rendered {
  readonly part: Part
  readonly entry: PolicyEntry | null
  readonly watched: ReadonlySet<SetId>
}

interface Unit {
  source: UnitSource
  readonly users: Set<string>
  now: Rendered | null
  /** As the kernel holds it. */
  written: Rendered | null
}

/** Makes an empty collection whose chains go into a plan. */
export function createPolicyUnits(deps: {
  readonly plan: Pick<TablePlan, 'put'>
  readonly addressSets: Pick<AddressSets, 'named' | 'forget'>
}): PolicyUnits {
  const { plan, addressSets } = deps
  const units = new Map<string, Unit>()
  const byId = new Map<string, Set<string>>()
  const watchers = new Map<SetId, Set<string>>()
  const marked = new Set<string>()
  const unwritten = new Set<string>()
  /** Sets that lost a watcher; forgotten when no refusal can bring it back. */
  const left = new Set<SetId>()
  const lists = createSetMemo()
  const refused = new Map<string, string>()
  let policies = 0

  function mark(key: string, { source }: Unit): void {
    marked.add(key)
    refused.delete(source.id)
  }

  function watch(key: string, ids: ReadonlySet<SetId>, before: ReadonlySet<SetId>): void {
    for (const id of before) {
      if (ids.has(id)) continue
      watchers.get(id)?.delete(key)
      left.add(id)
    }
    for (const id of ids) {
      const known = watchers.get(id)
      if (known === undefined) watchers.set(id, new Set([key]))
      else known.add(key)
    }
  }

  function put(key: string, unit: Unit, rendered: Rendered | null): void {
    watch(key, rendered?.watched ?? new Set(), unit.now?.watched ?? new Set())
    unit.now = rendered
    plan.put(key, rendered?.part ?? null)
    unwritten.add(key)
  }

  function render({ source }: Unit, denial: DenialOptions): Rendered {
    const sets = createSetCollector(addressSets, lists)
    const { chains, hits, entry } = policyChains({ ...source, ...source.place }, { sets, denial })
    return { part: { chains, sets: sets.sets, hits, cause: source.id }, entry, watched: sets.watched }
  }

  return {
    refused,
    get policies() {
      return policies
    },
    usersOf(id) {
      const users = new Set<string>()
      for (const key of byId.get(id) ?? []) for (const user of (units.get(key) as Unit).users) users.add(user)
      return users
    },
    use(source, user) {
      const { id, place } = source
      const key = `${id} ${place.direction} ${place.stage} ${place.hook}`
      let unit = units.get(key)
      if (unit === undefined) {
        unit = { source, users: new Set(), now: null, written: null }
        units.set(key, unit)
        if (!byId.has(id) && source.ref.kind !== 'profile') policies += 1
        byId.set(id, (byId.get(id) ?? new Set()).add(key))
        mark(key, unit)
      } else if (unit.source.rules !== source.rules) {
        unit.source = source
        mark(key, unit)
      }
      unit.users.add(user)
      return key
    },
    leave(key, user) {
      const unit = units.get(key)
      if (unit === undefined || !unit.users.delete(user) || unit.users.size > 0) return
      const { id, ref } = unit.source
      put(key, unit, null)
      units.delete(key)
      marked.delete(key)
      const keys = byId.get(id)
      keys?.delete(key)
      if (keys?.size !== 0) return
      byId.delete(id)
      if (ref.kind !== 'profile') policies -= 1
      refused.delete(id)
    },
    entry: (key) => units.get(key)?.now?.entry ?? null,
    reshaped(id) {
      for (const key of watchers.get(id) ?? []) mark(key, units.get(key) as Unit)
    },
    all() {
      for (const [key, unit] of units) mark(key, unit)
    },
    refresh(denial) {
      const users = new Set<string>()
      for (const key of marked) {
        const unit = units.get(key) as Unit
        const before = unit.now?.entry ?? null
        put(key, unit, render(unit, denial))
        if (!sameEntry(before, unit.now?.entry ?? null)) for (const user of unit.users) users.add(user)
      }
      marked.clear()
      return users
    },
    written() {
      for (const key of unwritten) {
        const unit = units.get(key)
        if (unit !== undefined) unit.written = unit.now
      }
      unwritten.clear()
      for (const id of left) if (watchers.get(id)?.size === 0 && watchers.delete(id)) addressSets.forget(id)
      left.clear()
    },
    refuse(id, reason) {
      const users = new Set<string>()
      const own = [...(byId.get(id) ?? [])].map((key) => [key, units.get(key) as Unit] as const)
      const isGoodRefused = own.every(([, unit]) => unit.now === unit.written)
      for (const [key, unit] of own) {
        // What was good once may not be so when everything is written again.
        if (isGoodRefused) unit.written = null
        if (unit.now === unit.written) continue
        put(key, unit, unit.written)
        for (const user of unit.users) users.add(user)
      }
      if (users.size > 0) refused.set(id, reason)
      return users
    },
    isAbsent(id) {
      if (!refused.has(id)) return false
      for (const key of byId.get(id) ?? []) if (units.get(key)?.written != null) return false
      return true
    },
  }
}

const sameEntry = (a: PolicyEntry | null, b: PolicyEntry | null) =>
  a === b ||
  (a !== null &&
    b !== null &&
    a.allows === b.allows &&
    a.passes === b.passes &&
    a.call.length === b.call.length &&
    a.call.every((statement, index) => statement === b.call[index]))
