import type { NamedSet } from './ruleset.ts'
import type { Changed, TablePlan } from './table-plan.ts'
import type { Elements, TableChange } from './wire/change.ts'
import { parseHook, printHook } from './wire/hook.ts'

/** The chains and sets that the kernel holds, by name. */
export interface Present {
  /** Whether the table exists. */
  table: boolean
  /** Chain -> hook, null on one that rules jump to. */
  readonly chains: Map<string, string | null>
  readonly sets: Map<string, { readonly kind: NamedSet['kind']; readonly spec: string }>
}

/** True when both hold the same chains and sets. */
export function isSame(a: Present, b: Present): boolean {
  if (a.chains.size !== b.chains.size || a.sets.size !== b.sets.size) return false
  for (const [name, hook] of a.chains) if (b.chains.get(name) !== hook) return false
  for (const [name, { kind, spec }] of a.sets) {
    const other = b.sets.get(name)
    if (other?.kind !== kind || other.spec !== spec) return false
  }
  return true
}

/** A kernel without our table. */
export const nothingPresent = (): Present => ({ table: false, chains: new Map(), sets: new Map() })

/** Transactions to be committed in this order; each empty when there is nothing to do. */
export interface Transactions {
  readonly before: readonly TableChange[]
  readonly build: readonly TableChange[]
  readonly change: readonly TableChange[]
  readonly after: readonly TableChange[]
}

/**
 * What turns the kernel's table into the planned one, where it has changed.
 *
 * Four transactions at most: new sets, new chains, then the change itself, then what is no longer used. A set must exist before the
 * rules that use it (its lookup structure is built late in a commit: packets in between would find it empty), and a chain before an
 * element of a map leads to it (a packet on its way at the moment of the commit sees the new element, and the chain as it was: empty).
 * Nothing is ever deleted that a rule still in force needs. The table is never deleted: flushing and refilling loses no packet, re-creation does.
 */
export function transactions(
  present: Present,
  plan: Pick<TablePlan, 'chains' | 'sets'>,
  changed: Changed,
): Transactions {
  const before: TableChange[] = []
  const build: TableChange[] = []
  const change: TableChange[] = []
  const after: TableChange[] = []
  const by = (cause: string | null) => (cause === null ? {} : { cause })
  const isNew = (name: string) => !present.sets.has(name)
  /** Nothing leads to a chain that is not there yet, unless the kernel itself calls it. */
  const isUnreached = (name: string, hook: string | null) => hook === null && !present.chains.has(name)

  for (const name of changed.sets.keys()) {
    const planned = plan.sets.get(name)
    if (planned === undefined || planned.set.kind === 'map' || !isNew(name)) continue
    const { set, cause } = planned
    before.push({ type: 'set', op: 'add', kind: 'set', set: name, spec: set.spec, ...by(cause) })
    if (set.elements.size > 0) before.push({ ...elements('add', name, set), ...by(cause) })
  }

  for (const name of changed.chains.keys()) {
    const chain = plan.chains.get(name)
    if (chain === undefined) continue
    const hook = present.chains.get(name)
    if (hook === usualHook(chain.hook)) continue
    // Of a version of this program that had it in another place.
    if (hook !== undefined)
      change.push({ type: 'chain', op: 'flush', chain: name }, { type: 'chain', op: 'delete', chain: name })
    const to = isUnreached(name, chain.hook) ? build : change
    to.push({ type: 'chain', op: 'add', chain: name, hook: chain.hook, ...by(chain.cause) })
  }
  for (const name of changed.sets.keys()) {
    const planned = plan.sets.get(name)
    if (planned?.set.kind === 'map' && isNew(name))
      build.push({ type: 'set', op: 'add', kind: 'map', set: name, spec: planned.set.spec, ...by(planned.cause) })
  }
  for (const name of changed.chains.keys()) {
    const chain = plan.chains.get(name)
    if (chain === undefined) continue
    if (present.chains.get(name) === usualHook(chain.hook)) change.push({ type: 'chain', op: 'flush', chain: name })
    const to = isUnreached(name, chain.hook) ? build : change
    if (chain.rules.length > 0) to.push({ type: 'rules', chain: name, rules: chain.rules, ...by(chain.cause) })
  }
  for (const [name, was] of changed.sets) {
    const planned = plan.sets.get(name)
    if (planned === undefined || (planned.set.kind === 'set' && isNew(name))) continue
    for (const step of elementChanges(name, planned.set, isNew(name) ? 'new' : was))
      change.push({ ...step, ...by(planned.cause) })
  }

  const idleChains = [...changed.chains.keys()].filter((name) => !plan.chains.has(name) && present.chains.has(name))
  const idleSets = [...changed.sets.keys()].filter((name) => !plan.sets.has(name) && present.sets.has(name))
  const kindOf = (name: string) => present.sets.get(name)?.kind ?? 'set'
  after.push(
    ...idleChains.map((chain) => ({ type: 'chain', op: 'flush', chain }) as const),
    // The verdicts of a map hold on to the chains that they lead to.
    ...idleSets.flatMap((set) =>
      kindOf(set) === 'map' ? [{ type: 'set', op: 'flush', kind: 'map', set } as const] : [],
    ),
    ...idleChains.map((chain) => ({ type: 'chain', op: 'delete', chain }) as const),
    ...idleSets.map((set) => ({ type: 'set', op: 'delete', kind: kindOf(set), set }) as const),
  )

  const first = present.table ? undefined : [before, build, change].find((changes) => changes.length > 0)
  first?.unshift({ type: 'table', op: 'add' })
  return { before, build, change, after }
}

/** A hook as listings write it; null on a chain that rules jump to. */
export function usualHook(hook: string | null): string | null {
  const parsed = hook === null ? null : parseHook(hook)
  return parsed === null ? hook : printHook(parsed)
}

/** What the kernel holds after a transaction. */
export function note(present: Present, changes: readonly TableChange[]): void {
  for (const change of changes) {
    if (change.type === 'table') present.table = change.op === 'add'
    else if (change.type === 'chain' && change.op === 'add') present.chains.set(change.chain, usualHook(change.hook))
    else if (change.type === 'chain' && change.op === 'delete') present.chains.delete(change.chain)
    else if (change.type === 'set' && change.op === 'add')
      present.sets.set(change.set, { kind: change.kind, spec: change.spec })
    else if (change.type === 'set' && change.op === 'delete') present.sets.delete(change.set)
  }
}

function elements(op: 'add' | 'delete', name: string, set: NamedSet, some?: Elements): TableChange {
  const all = set.kind === 'map' ? set.elements : [...set.elements.keys()]
  return { type: 'elements', op, kind: set.kind, set: name, spec: set.spec, elements: some ?? all }
}

/** Differences of one set; all of it where what the kernel holds is not known, or where it holds intervals. */
function elementChanges(
  name: string,
  set: NamedSet,
  was: ReadonlyMap<string, string | undefined> | 'all' | 'new',
): TableChange[] {
  const fill = set.elements.size === 0 ? [] : [elements('add', name, set)]
  if (was === 'new') return fill
  // Its elements are somebody else's.
  if (set.domains !== null) return []
  if (was === 'all' || set.interval) return [{ type: 'set', op: 'flush', kind: set.kind, set: name }, ...fill]
  const gone = new Map<string, string>()
  const come = new Map<string, string>()
  for (const [key, value] of was) {
    const now = set.elements.get(key)
    if (now === value) continue
    if (value !== undefined) gone.set(key, value)
    if (now !== undefined) come.set(key, now)
  }
  const some = (of: ReadonlyMap<string, string>) => (set.kind === 'map' ? of : [...of.keys()])
  return [
    ...(gone.size > 0 ? [elements('delete', name, set, some(gone))] : []),
    ...(come.size > 0 ? [elements('add', name, set, some(come))] : []),
  ]
}
