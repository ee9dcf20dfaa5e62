import { canonicalDomain } from '@margay/schemas/policy/domain'

/**
 * Finds who asked for a name by a pattern, in a few look-ups however many patterns there are: exact patterns are a table; a pattern
 * with `*` is filed under the labels behind the star, then under those before it. Agrees with `matchDomain`.
 */
export interface PatternIndex<Owner> {
  add(pattern: string, owner: Owner): void
  remove(pattern: string, owner: Owner): void
  /** Owners of the patterns that match a name (canonical: lower case, no trailing dot). */
  owners(name: string): Set<Owner>
}

/** Makes an empty index. */
export function createPatternIndex<Owner>(): PatternIndex<Owner> {
  const exact = new Map<string, Set<Owner>>()
  const wild = new Map<string, Map<string, Set<Owner>>>()

  return {
    add(pattern, owner) {
      const { name, before, behind } = partsOf(pattern)
      if (name !== null) return void owned(exact, name).add(owner)
      const prefixes = wild.get(behind) ?? new Map<string, Set<Owner>>()
      wild.set(behind, prefixes)
      owned(prefixes, before).add(owner)
    },
    remove(pattern, owner) {
      const { name, before, behind } = partsOf(pattern)
      if (name !== null) return disown(exact, name, owner)
      const prefixes = wild.get(behind)
      if (prefixes === undefined) return
      disown(prefixes, before, owner)
      if (prefixes.size === 0) wild.delete(behind)
    },
    owners(name) {
      const found = new Set(exact.get(name))
      if (wild.size === 0) return found
      const labels = name.split('.')
      // The star stands for one label at least, so the labels behind it begin at the second one or later.
      for (let start = 1; start <= labels.length; start += 1) {
        const prefixes = wild.get(labels.slice(start).join('.'))
        if (prefixes === undefined) continue
        for (let before = 0; before < start; before += 1)
          for (const owner of prefixes.get(labels.slice(0, before).join('.')) ?? []) found.add(owner)
      }
      return found
    },
  }
}

/** The labels before and behind the star of a pattern, or the whole of it when it has none. */
function partsOf(pattern: string): { name: string | null; before: string; behind: string } {
  const name = canonicalDomain(pattern)
  const labels = name.split('.')
  const star = labels.indexOf('*')
  if (star < 0) return { name, before: '', behind: '' }
  return { name: null, before: labels.slice(0, star).join('.'), behind: labels.slice(star + 1).join('.') }
}

function owned<Owner>(map: Map<string, Set<Owner>>, key: string): Set<Owner> {
  const owners = map.get(key) ?? new Set<Owner>()
  map.set(key, owners)
  return owners
}

function disown<Owner>(map: Map<string, Set<Owner>>, key: string, owner: Owner): void {
  const owners = map.get(key)
  owners?.delete(owner)
  if (owners?.size === 0) map.delete(key)
}
