import type { Changed, TablePlan } from './table-plan.ts'

/**
 * Looks after what somebody else may have done to our table. Every transaction of anybody in the network namespace raises the kernel's
 * generation; one that is not ours makes the table suspect. What is missing by name is found at once; rules and elements are not read back
 * (slow), but written again in slices, so that no edit waits for them: all of it within some seconds, without a gap.
 */
export interface Repair {
  /** True when there is something to do: a change of somebody else, or a slice that is due. */
  isDue(): boolean
  /** A change that has not been looked at. */
  readonly isSuspected: boolean
  /** The names of what the table holds, which are to be written again. */
  looked(chains: readonly string[], sets: readonly string[]): void
  /** What to write: the plan's changes, and the next slice when one is due. */
  with(plan: Pick<TablePlan, 'changed' | 'chains' | 'sets'>): Changed
  /** It is written, and the generation is ours; with everything, nothing is left to repair. */
  written(isAll: boolean): void
}

/** Time between slices, and how many there are at most. */
const sliceMs = 200
const slices = 24
/** Fewest chains and sets of a slice. */
const smallest = 64
/** Time between two repairs: others may change their own tables all the time. */
const restMs = 5_000

/** Makes one that trusts the kernel from the first `written` on. */
export function createRepair(deps: { readonly generation: () => number; readonly now: () => number }): Repair {
  const { generation, now } = deps
  let own = 0
  let isSuspected = false
  let queue: readonly { readonly kind: 'chain' | 'set'; readonly name: string }[] = []
  let length = smallest
  let dueAt = 0
  let slice = 0

  return {
    get isSuspected() {
      return isSuspected
    },
    isDue() {
      if (now() < dueAt) return false
      if (queue.length > 0) return true
      isSuspected ||= generation() !== own
      return isSuspected
    },
    looked(chains, sets) {
      isSuspected = false
      queue = [
        ...chains.map((name) => ({ kind: 'chain', name }) as const),
        ...sets.map((name) => ({ kind: 'set', name }) as const),
      ]
      length = Math.max(smallest, Math.ceil(queue.length / slices))
    },
    with({ changed, chains, sets }) {
      slice = 0
      if (queue.length === 0 || now() < dueAt) return changed
      slice = length
      const all = { chains: new Map(changed.chains), sets: new Map(changed.sets) }
      for (const { kind, name } of queue.slice(0, slice)) {
        // What went in the meantime needs no repair.
        if (kind === 'chain' && chains.has(name) && !all.chains.has(name)) all.chains.set(name, null)
        if (kind === 'set' && sets.has(name)) all.sets.set(name, 'all')
      }
      return all
    },
    written(isAll) {
      const isOver = queue.length > 0 && (isAll || queue.length <= slice)
      queue = isAll ? [] : queue.slice(slice)
      if (slice > 0 || isAll) dueAt = now() + (isOver ? restMs : sliceMs)
      slice = 0
      own = generation()
    },
  }
}
