import type { ModelChanges, ModelFollower, SetDelta, SetId } from './model.ts'
import type { IndexedItem } from './selection-index.ts'

/** Where the parts of a model tell what they change. */
export interface ChangeFeed {
  endpoint(key: string): void
  /** All endpoints that are members when somebody looks; those that come and go until then are told on their own account. */
  selected(members: ReadonlySet<IndexedItem>): void
  policy(id: string): void
  profile(name: string): void
  member(set: SetId, member: string, isMember: boolean): void
  /** No rule uses the set any more; `members` are those it had, and no longer change. */
  setGone(set: SetId, members: Iterable<string>): void
  /** A rule uses a set that none used; its members are told one by one. */
  setCame(set: SetId): void
  tiers(): void
  settings(): void
  /** Whether anybody hears it. */
  isFollowed(): boolean
  follow(): ModelFollower
}

/** What everything is named by that a follower sees first. */
export interface Everything {
  endpoints(): Iterable<string>
  policies(): Iterable<string>
  profiles(): Iterable<string>
  sets(): Iterable<{ readonly id: SetId; readonly members: ReadonlySet<string> }>
}

interface Delta extends SetDelta {
  readonly added: Set<string>
  readonly removed: Set<string>
  /** Members of the set when its last user went; null while it is in use. */
  gone: Iterable<string> | null
}

interface Pending {
  readonly endpoints: Set<string>
  /** Of selections: many edits of policies with one selector are told as one. */
  readonly selected: Set<ReadonlySet<IndexedItem>>
  readonly policies: Set<string>
  readonly profiles: Set<string>
  readonly sets: Map<SetId, Delta>
  tiers: boolean
  settings: boolean
}

/** Selections that are kept for somebody who does not look; beyond, their members are named. */
const mostSelections = 1000

/** Makes a feed without followers; `everything` is asked for the first `take` of each. */
export function createChangeFeed(everything: Everything): ChangeFeed {
  const followers = new Set<Pending>()

  function deltaOf({ sets }: Pending, id: SetId): Delta {
    let delta = sets.get(id)
    if (delta === undefined) {
      delta = { added: new Set(), removed: new Set(), gone: null }
      sets.set(id, delta)
    }
    return delta
  }

  return {
    endpoint(key) {
      for (const { endpoints } of followers) endpoints.add(key)
    },
    selected(members) {
      for (const follower of followers) {
        follower.selected.add(members)
        if (follower.selected.size > mostSelections) nameSelected(follower)
      }
    },
    policy(id) {
      for (const { policies } of followers) policies.add(id)
    },
    profile(name) {
      for (const { profiles } of followers) profiles.add(name)
    },
    member(id, member, isMember) {
      for (const follower of followers) {
        const delta = deltaOf(follower, id)
        const [to, from] = isMember ? [delta.added, delta.removed] : [delta.removed, delta.added]
        if (!from.delete(member)) to.add(member)
      }
    },
    setGone(id, members) {
      for (const follower of followers) deltaOf(follower, id).gone = members
    },
    setCame(id) {
      for (const follower of followers) {
        const delta = deltaOf(follower, id)
        // It was away and is back between two looks: what it had then is gone, and what it has now is told next.
        for (const member of delta.gone ?? []) if (!delta.added.delete(member)) delta.removed.add(member)
        delta.gone = null
      }
    },
    tiers() {
      for (const follower of followers) follower.tiers = true
    },
    settings() {
      for (const follower of followers) follower.settings = true
    },
    isFollowed: () => followers.size > 0,
    follow() {
      let pending: Pending | null = null
      let isStopped = false

      function begin(): ModelChanges {
        const sets = [...everything.sets()].map(
          ({ id, members }) => [id, { added: new Set(members), removed: new Set<string>() }] as const,
        )
        return {
          endpoints: new Set(everything.endpoints()),
          policies: new Set(everything.policies()),
          profiles: new Set(everything.profiles()),
          sets: new Map(sets),
          tiers: true,
          settings: true,
        }
      }

      return {
        take() {
          const taken = pending === null ? begin() : changesOf(pending)
          if (pending !== null) followers.delete(pending)
          pending = nothing()
          if (!isStopped) followers.add(pending)
          return taken
        },
        stop() {
          isStopped = true
          if (pending !== null) followers.delete(pending)
        },
      }
    },
  }
}

function nothing(): Pending {
  return {
    endpoints: new Set(),
    selected: new Set(),
    policies: new Set(),
    profiles: new Set(),
    sets: new Map(),
    tiers: false,
    settings: false,
  }
}

/** Tells the endpoints of all selections by name. */
function nameSelected({ selected, endpoints }: Pending): void {
  for (const members of selected) for (const { item } of members) if (item.endpoint !== null) endpoints.add(item.key)
  selected.clear()
}

function changesOf(pending: Pending): ModelChanges {
  nameSelected(pending)
  const { sets, selected: _, ...changes } = pending
  const told = new Map<SetId, SetDelta | null>()
  for (const [id, { added, removed, gone }] of sets) {
    if (gone !== null) told.set(id, null)
    else told.set(id, { added, removed })
  }
  return { ...changes, sets: told }
}
