import { canonicalDomain } from '@margay/schemas/policy/domain'

/** Records by name, found by name, by pattern and by age. */
export interface NameRegistry<Entry extends { readonly name: string }> {
  readonly size: number
  get(name: string): Entry | undefined
  all(): Iterable<Entry>
  /** Adds an entry, or makes it the youngest of its kind. Those that nobody wants are older than any that somebody does. */
  touch(entry: Entry, isWanted: boolean): void
  delete(entry: Entry): void
  oldest(): Entry | undefined
  /** Entries that a pattern may match: the one of its name, those of its last two labels, or all when it has no two behind its star. */
  candidates(pattern: string): Iterable<Entry>
}

/** The last two labels of a name. */
const siteOf = (name: string) => name.slice(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1)

/** Makes an empty registry. */
export function createNameRegistry<Entry extends { readonly name: string }>(): NameRegistry<Entry> {
  const entries = new Map<string, Entry>()
  const sites = new Map<string, Set<Entry>>()
  const idle = new Set<Entry>()
  const wanted = new Set<Entry>()
  return {
    get size() {
      return entries.size
    },
    get: (name) => entries.get(name),
    all: () => entries.values(),
    touch(entry, isWanted) {
      if (!entries.has(entry.name)) {
        entries.set(entry.name, entry)
        const site = siteOf(entry.name)
        const neighbours = sites.get(site)
        if (neighbours === undefined) sites.set(site, new Set([entry]))
        else neighbours.add(entry)
      }
      idle.delete(entry)
      wanted.delete(entry)
      if (isWanted) wanted.add(entry)
      else idle.add(entry)
    },
    delete(entry) {
      entries.delete(entry.name)
      idle.delete(entry)
      wanted.delete(entry)
      const site = siteOf(entry.name)
      const neighbours = sites.get(site)
      neighbours?.delete(entry)
      if (neighbours?.size === 0) sites.delete(site)
    },
    oldest() {
      const [oldest] = idle.size > 0 ? idle : wanted
      return oldest
    },
    candidates(pattern) {
      const labels = canonicalDomain(pattern).split('.')
      const star = labels.indexOf('*')
      if (star >= 0) return labels.length - star > 2 ? (sites.get(labels.slice(-2).join('.')) ?? []) : entries.values()
      const entry = entries.get(labels.join('.'))
      return entry === undefined ? [] : [entry]
    },
  }
}
