/**
 * Remembers results of a pure function by text, at most twice `limit` of them: when the young half is full it becomes the old one, and what
 * nobody asked for since is forgotten. What is given beside the text must not make another result of the same text.
 */
export function remembering<T, A extends readonly unknown[]>(
  limit: number,
  make: (text: string, ...given: A) => T,
): (text: string, ...given: A) => T {
  let young = new Map<string, T>()
  let old = new Map<string, T>()
  return (text, ...given) => {
    let found = young.get(text)
    if (found !== undefined) return found
    found = old.get(text) ?? make(text, ...given)
    if (young.size >= limit) {
      old = young
      young = new Map()
    }
    young.set(text, found)
    return found
  }
}
