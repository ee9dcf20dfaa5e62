/** A member of a group, as it is kept. */
export interface Member {
  readonly id: string
  readonly topics: readonly string[]
}

/** A partition of a topic. */
export interface Slot {
  readonly topic: string
  readonly partition: number
}

/**
 * Shares the partitions of the topics among the members that want them: in turn, members in the order of their ids.
 * Every member works out the same answer. Returns the slots of each member.
 */
export function assign(members: readonly Member[], partitionsOf: (topic: string) => number): Map<string, Slot[]> {
  const ordered = [...members].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  const shares = new Map<string, Slot[]>(ordered.map(({ id }) => [id, []]))
  const topics = [...new Set(ordered.flatMap((member) => member.topics))].sort()
  for (const topic of topics) {
    const wanting = ordered.filter((member) => member.topics.includes(topic))
    for (let partition = 0; partition < partitionsOf(topic); partition += 1) {
      // The member with the least so far, so that topics of one partition spread too.
      const [least] = wanting.toSorted((a, b) => sizeOf(shares, a) - sizeOf(shares, b))
      if (least !== undefined) shares.get(least.id)?.push({ topic, partition })
    }
  }
  return shares
}

function sizeOf(shares: Map<string, Slot[]>, member: Member): number {
  return shares.get(member.id)?.length ?? 0
}
