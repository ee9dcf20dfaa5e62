/** Bytes held in memory, with an upper bound that the source of the bytes is told about. */
export interface Budget {
  readonly held: number
  /** Takes note of bytes that are held now; returns the function that lets them go. */
  hold(bytes: number): () => void
}

/** Calls `full` when one more batch of `next` bytes would exceed `limit`, and `free` when it would not any more. */
export function createBudget(
  limits: { readonly limit: number; readonly next: number },
  on: { full(): void; free(): void },
): Budget {
  let held = 0
  let isFull = false
  function look(): void {
    const full = held > 0 && held + limits.next > limits.limit
    if (full === isFull) return
    isFull = full
    if (full) on.full()
    else on.free()
  }
  return {
    get held() {
      return held
    },
    hold(bytes) {
      held += bytes
      look()
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        held -= bytes
        look()
      }
    },
  }
}
