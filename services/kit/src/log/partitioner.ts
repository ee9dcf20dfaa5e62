/**
 * Chooses partitions: records of one key always meet in one partition (FNV-1a of the key), records without a key take turns.
 */
export function createPartitioner(): (key: string | null, partitions: number) => number {
  let turn = 0
  return (key, partitions) => {
    if (partitions === 1) return 0
    if (key === null) {
      turn = (turn + 1) % partitions
      return turn
    }
    let hash = 0x811c9dc5
    for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193)
    return (hash >>> 0) % partitions
  }
}
