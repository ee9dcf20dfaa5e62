/** Many values by key; a key without values is not there. */
export interface SetMap<K, V> {
  get(key: K): ReadonlySet<V>
  has(key: K): boolean
  add(key: K, value: V): void
  remove(key: K, value: V): void
  keys(): Iterable<K>
}

/** Makes an empty map of sets. */
export function createSetMap<K, V>(): SetMap<K, V> {
  const sets = new Map<K, Set<V>>()
  const none: ReadonlySet<V> = new Set()
  return {
    get: (key) => sets.get(key) ?? none,
    has: (key) => sets.has(key),
    add(key, value) {
      const had = sets.get(key)
      if (had === undefined) sets.set(key, new Set([value]))
      else had.add(value)
    },
    remove(key, value) {
      const had = sets.get(key)
      had?.delete(value)
      if (had?.size === 0) sets.delete(key)
    },
    keys: () => sets.keys(),
  }
}
