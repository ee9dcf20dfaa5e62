import type { Item } from './item.ts'
import { sameLabels } from './item-comparison.ts'
import type { Labels } from './model.ts'
import type { FlatProfile } from './profiles.ts'
import { createSetMap } from './set-map.ts'

/** Profiles, and the labels that items inherit from them (spec 14, 2.2). */
export interface Inheritance {
  /** True when the labels that heirs inherit are others than before. */
  put(profile: FlatProfile): boolean
  remove(name: string): boolean
  profile(name: string): FlatProfile | null
  /** Names of the profiles that resources make. */
  given(): Iterable<string>
  /** Keys of the items that have the profile. */
  heirs(name: string): Iterable<string>
  /** Notes what an item inherits from, in place of what it did. */
  change(key: string, before: readonly string[], after: readonly string[]): void
  /** All labels of an item: its own, then those of its profiles, the first of which wins. */
  labelsOf(item: Item): Labels
}

const none: Labels = {}

/** Makes an inheritance without profiles; `imply` gives those that no resource makes. */
export function createInheritance(imply: (name: string) => FlatProfile | null): Inheritance {
  const profiles = new Map<string, FlatProfile>()
  /** So that each is one object. */
  const implied = new Map<string, FlatProfile | null>()
  const heirs = createSetMap<string, string>()

  function profile(name: string): FlatProfile | null {
    const given = profiles.get(name)
    if (given !== undefined) return given
    let known = implied.get(name)
    if (known === undefined) {
      known = imply(name)
      implied.set(name, known)
    }
    return known
  }

  const labels = (name: string) => profile(name)?.labels ?? none

  return {
    put(given) {
      const before = labels(given.name)
      profiles.set(given.name, given)
      return !sameLabels(before, given.labels)
    },
    remove(name) {
      const before = labels(name)
      profiles.delete(name)
      return !sameLabels(before, labels(name))
    },
    profile,
    given: () => profiles.keys(),
    heirs: heirs.get,
    change(key, before, after) {
      if (before === after) return
      for (const parent of before) {
        heirs.remove(parent, key)
        if (!heirs.has(parent)) implied.delete(parent)
      }
      for (const parent of after) heirs.add(parent, key)
    },
    labelsOf({ labels: own, profiles: parents }) {
      // Most items have two at most; spreading them at once keeps the objects small.
      const [first, second, ...others] = parents
      if (first === undefined) return own
      if (second === undefined) return { ...labels(first), ...own }
      let inherited: Labels = none
      for (const name of others.reverse()) inherited = { ...inherited, ...labels(name) }
      return { ...inherited, ...labels(second), ...labels(first), ...own }
    },
  }
}
