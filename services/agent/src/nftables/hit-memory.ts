import type { RuleHit } from './names.ts'

/** What log prefixes stand for. Those of replaced rules are remembered for a while: packets that met them may still be on their way. */
export interface HitMemory {
  /** Rules with these prefixes are about to be programmed. Each of them is held as often as it is given. */
  hold(hits: ReadonlyMap<string, RuleHit>): void
  release(hits: ReadonlyMap<string, RuleHit>): void
  get(prefix: string): RuleHit | null
  readonly size: number
}

const memoryMs = 60_000

/** Makes an empty memory. */
export function createHitMemory(now: () => number): HitMemory {
  const known = new Map<string, { hit: RuleHit; users: number }>()
  /** Prefixes that nobody used any more at a time, oldest first. */
  let released: { readonly prefix: string; readonly at: number }[] = []

  function forget(): void {
    const due = now() - memoryMs
    let count = 0
    for (const { prefix, at } of released) {
      if (at > due) break
      count += 1
      if (known.get(prefix)?.users === 0) known.delete(prefix)
    }
    if (count > 0) released = released.slice(count)
  }

  return {
    hold(hits) {
      for (const [prefix, hit] of hits) {
        const had = known.get(prefix)
        known.set(prefix, { hit, users: (had?.users ?? 0) + 1 })
      }
    },
    release(hits) {
      forget()
      for (const prefix of hits.keys()) {
        const had = known.get(prefix)
        if (had === undefined) continue
        had.users -= 1
        if (had.users === 0) released.push({ prefix, at: now() })
      }
    },
    get: (prefix) => known.get(prefix)?.hit ?? null,
    get size() {
      return known.size
    },
  }
}
