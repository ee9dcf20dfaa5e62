import { canonicalDomain, matchDomain } from './domain.ts'
import { createSetMap, type SetMap } from './set-map.ts'

/** Values by domain pattern, found by a name that matches: `x.com`, `*.x.com`, `a.*.com`. */
export interface DomainIndex<T> {
  add(pattern: string, value: T): void
  remove(pattern: string, value: T): void
  /** The values of all patterns that match any of the names. */
  matching(names: readonly string[]): Set<T>
}

/** Makes an empty index. Only patterns whose `*` is not their first label are tried one by one. */
export function createDomainIndex<T>(): DomainIndex<T> {
  const exact = createSetMap<string, T>()
  /** By what follows `*.`. */
  const suffixes = createSetMap<string, T>()
  const others = createSetMap<string, T>()

  function place(pattern: string): [SetMap<string, T>, string] {
    const text = canonicalDomain(pattern)
    if (!text.split('.').includes('*')) return [exact, text]
    const rest = text.slice(2)
    return text.startsWith('*.') && !rest.includes('*') ? [suffixes, rest] : [others, text]
  }

  return {
    add(pattern, value) {
      const [map, key] = place(pattern)
      map.add(key, value)
    },
    remove(pattern, value) {
      const [map, key] = place(pattern)
      map.remove(key, value)
    },
    matching(names) {
      const found = new Set<T>()
      const take = (values: Iterable<T>) => {
        for (const value of values) found.add(value)
      }
      for (const given of names) {
        const name = canonicalDomain(given)
        take(exact.get(name))
        for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
          take(suffixes.get(name.slice(dot + 1)))
        for (const pattern of others.keys()) if (matchDomain(pattern, name)) take(others.get(pattern))
      }
      return found
    },
  }
}
