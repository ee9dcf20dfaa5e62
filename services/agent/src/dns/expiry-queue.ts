/** Entries in the order of their times: a binary heap, so that looking whether something is due costs nothing. */
export interface ExpiryQueue<Entry extends { readonly due: number }> {
  readonly size: number
  add(entry: Entry): void
  /** Takes the first entry that is due by `now`; null when there is none. */
  take(now: number): Entry | null
  /** Makes these the only entries. */
  replace(entries: Iterable<Entry>): void
}

/** Makes an empty queue. */
export function createExpiryQueue<Entry extends { readonly due: number }>(): ExpiryQueue<Entry> {
  const heap: Entry[] = []
  const dueAt = (index: number) => heap[index]?.due ?? Number.POSITIVE_INFINITY

  function swap(a: number, b: number): void {
    const entry = heap[a] as Entry
    heap[a] = heap[b] as Entry
    heap[b] = entry
  }

  function add(entry: Entry): void {
    heap.push(entry)
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (dueAt(parent) <= entry.due) break
      swap(at, parent)
      at = parent
    }
  }

  return {
    get size() {
      return heap.length
    },
    add,
    replace(entries) {
      heap.length = 0
      for (const entry of entries) add(entry)
    },
    take(now) {
      if (dueAt(0) > now) return null
      const first = heap[0] as Entry
      const last = heap.pop() as Entry
      if (heap.length === 0) return first
      heap[0] = last
      for (let at = 0; ; ) {
        const left = 2 * at + 1
        const least = dueAt(left + 1) < dueAt(left) ? left + 1 : left
        if (dueAt(least) >= dueAt(at)) break
        swap(at, least)
        at = least
      }
      return first
    },
  }
}
