import { MargayError } from '../../errors.ts'
import type { Position } from '../../event-log.ts'
import { assign, type Member, type Slot } from './assignment.ts'
import type { Catalog } from './catalog.ts'
import type { Database } from './database.ts'
import { groupKey } from './layout.ts'

/** A partition that a member reads, and where it begins. */
export interface Held extends Slot {
  readonly from: number
  /** Offset that the group has committed; null when none. */
  readonly stored: number | null
}

/** A move of a group's offset in one partition. */
export interface Step extends Slot {
  /** Offset committed before; null when none. */
  readonly stored: number | null
  readonly next: number
}

/** Who reads what in the groups of a folder. Membership and leases expire, so what a dead process held moves on. */
export interface Groups {
  /**
   * Tells that the member lives and takes the leases that are its share and free. Returns all it holds now,
   * those beyond its share too: it gives them back with `release` once it has stopped reading them.
   */
  renew(group: string, member: Member, from: 'earliest' | 'latest'): Promise<{ held: Held[]; share: Slot[] }>
  /** Moves the group's offset if the member still holds the partition and nobody else moved it; false otherwise. */
  commit(group: string, member: string, step: Step): Promise<boolean>
  release(group: string, member: string, slots: readonly Slot[]): Promise<void>
  /** Ends the membership and every lease of it. */
  leave(group: string, member: string): Promise<void>
  committed(group: string, topic: string): { partition: number; offset: number }[]
  /** Throws LOG_GROUP_ACTIVE when the group has a running member. */
  seek(group: string, position: Position): Promise<void>
}

interface Membership {
  readonly expires: number
  readonly topics: readonly string[]
}

/** Makes the groups of an open folder; a member lives `memberMs` after its last renewal. */
export function createGroups(database: Database, catalog: Catalog, now: () => number, memberMs: number): Groups {
  const table = database.groups

  /** Members that have not expired; those that have are forgotten. Call inside a write transaction. */
  function living(group: string): Member[] {
    const members: Member[] = []
    const start = groupKey('member', group, '')
    for (const { key, value } of [...table.getRange({ start, end: after(start) })]) {
      const membership = JSON.parse(value.toString()) as Membership
      // Far in the future: the clock has been set back since, so nobody can tell; living members renew soon.
      if (membership.expires < now() || membership.expires > now() + 2 * memberMs) table.remove(key)
      else members.push({ id: key.subarray(start.length).toString(), topics: membership.topics })
    }
    return members
  }

  function offsetOf(group: string, topic: string, partition: number): number | null {
    const value = table.get(groupKey('offset', group, topic, partition))
    return value === undefined ? null : Number(value.toString())
  }

  function hold(group: string, { topic, partition }: Slot, from: 'earliest' | 'latest'): Held {
    const stored = offsetOf(group, topic, partition)
    if (stored !== null) return { topic, partition, from: stored, stored }
    const head = catalog.head(catalog.find(topic), partition)
    if (from === 'earliest') return { topic, partition, from: head.earliest, stored }
    // Remembered at once: a crash before the first commit must not skip what came meanwhile.
    table.put(groupKey('offset', group, topic, partition), Buffer.from(String(head.next)))
    return { topic, partition, from: head.next, stored: head.next }
  }

  return {
    renew(group, member, from) {
      for (const topic of member.topics) catalog.find(topic)
      return database.write(() => {
        const membership: Membership = { expires: now() + memberMs, topics: member.topics }
        table.put(groupKey('member', group, member.id), Buffer.from(JSON.stringify(membership)))
        const members = living(group)
        const alive = new Set(members.map(({ id }) => id))
        const share = assign(members, (topic) => catalog.find(topic).partitions).get(member.id) ?? []
        const wanted = new Set(share.map(nameOf))
        const held: Held[] = []
        for (const topic of member.topics) {
          for (let partition = 0; partition < catalog.find(topic).partitions; partition += 1) {
            const lease = groupKey('lease', group, topic, partition)
            const holder = table.get(lease)?.toString()
            const isFree = holder === undefined || !alive.has(holder)
            if (holder !== member.id && !(isFree && wanted.has(nameOf({ topic, partition })))) continue
            if (holder !== member.id) table.put(lease, Buffer.from(member.id))
            held.push(hold(group, { topic, partition }, from))
          }
        }
        return { held, share }
      })
    },
    commit: (group, member, { topic, partition, stored, next }) =>
      database.write(() => {
        if (table.get(groupKey('lease', group, topic, partition))?.toString() !== member) return false
        if (offsetOf(group, topic, partition) !== stored) return false
        table.put(groupKey('offset', group, topic, partition), Buffer.from(String(next)))
        return true
      }),
    release: (group, member, slots) =>
      database.write(() => {
        for (const { topic, partition } of slots) {
          const lease = groupKey('lease', group, topic, partition)
          if (table.get(lease)?.toString() === member) table.remove(lease)
        }
      }),
    leave: (group, member) =>
      database.write(() => {
        table.remove(groupKey('member', group, member))
        const start = groupKey('lease', group, '')
        for (const { key, value } of [...table.getRange({ start, end: after(start) })]) {
          if (value.toString() === member) table.remove(key)
        }
      }),
    committed(group, topic) {
      const { partitions } = catalog.find(topic)
      database.refresh()
      return Array.from({ length: partitions }, (_, partition) => ({
        partition,
        offset: offsetOf(group, topic, partition),
      })).filter((entry): entry is { partition: number; offset: number } => entry.offset !== null)
    },
    async seek(group, { topic, partition, offset }) {
      catalog.check(topic, partition)
      await database.write(() => {
        if (living(group).length > 0) throw groupActive(group)
        table.put(groupKey('offset', group, topic, partition), Buffer.from(String(offset)))
      })
    },
  }
}

/** The error for moving a group that reads. */
function groupActive(group: string): MargayError {
  return new MargayError('LOG_GROUP_ACTIVE', `group ${group} has a running member; stop it before moving its offset`, {
    status: 409,
  })
}

/** A name for a slot in sets and maps. */
export const nameOf = ({ topic, partition }: Slot): string => `${topic}/${partition}`

/** The first key after all keys that begin with a prefix. */
function after(prefix: Buffer): Buffer {
  return Buffer.concat([prefix, Buffer.from([0xff])])
}
