import { canonicalDomain, matchDomain } from './domain.ts'

/** Values by domain pattern, found by a name that matches: `x.com`, `*.x.com`, `a.*.com`. */
export interface DomainIndex<T> {
  add(pattern: string, value: T): void
  remove(pattern: string, value: T): void
  /** The values of all patterns that match any of the names. */
  matching(names: readonly string[]): Set<T>
}

/** Makes an empty index. Only patterns whose `*` is not their first label are tried one by one. */
export function createDomainIndex<T>(): DomainIndex<T> {
  const exact = new Map<string, Set<T>>()
  /** By what follows `*.`. */
  const suffixes = new Map<string, Set<T>>()
  const others = new Map<string, Set<T>>()

  function place(pattern: string): [Map<string, Set<T>>, string] {
    const text = canonicalDomain(pattern)
    if (!text.split('.').includes('*')) return [exact, text]
    const rest = text.slice(2)
    return text.startsWith('*.') && !rest.includes('*') ? [suffixes, rest] : [others, text]
  }

  return {
    add(pattern, value) {
      const [map, key] = place(pattern)
      const had = map.get(key)
      if (had === undefined) map.set(key, new Set([value]))
      else had.add(value)
    },
    remove(pattern, value) {
      const [map, key] = place(pattern)
      const had = map.get(key)
      had?.delete(value)
      if (had?.size === 0) map.delete(key)
    },
    matching(names) {
      const found = new Set<T>()
      const take = (values: Iterable<T> | undefined) => {
        for (const value of values ?? []) found.add(value)
      }
      for (const given of names) {
        const name = canonicalDomain(given)
        take(exact.get(name))
        for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
          take(suffixes.get(name.slice(dot + 1)))
        for (const [pattern, values] of others) if (matchDomain(pattern, name)) take(values)
      }
      return found
    },
  }
}
