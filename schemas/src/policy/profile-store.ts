import type { ChangeFeed } from './change-feed.ts'
import { type Compiled, compileProfile, domainKey } from './compile.ts'
import type { Profile } from './model.ts'
import type { FlatProfile } from './profiles.ts'
import type { SetRegistry } from './set-registry.ts'

/** Profiles with their rules resolved. */
export interface ProfileStore {
  get(name: string): Profile | null
  /** A resource that makes the profile came, changed or went. Its rules are resolved at once, so that their sets are in use from now on. */
  changed(name: string): void
  /** Resolves again the profiles that name domain names of network sets, where these are others than before. */
  refreshDomains(): void
}

/** What a store is made with. */
export interface ProfileStoreDeps {
  /** The profile as it is given or implied. */
  readonly flat: (name: string) => FlatProfile | null
  readonly sets: SetRegistry
  readonly feed: Pick<ChangeFeed, 'profile'>
}

interface Entry {
  readonly compiled: Compiled<Profile>
  readonly domains: string
}

/** Makes a store that knows no profile yet. */
export function createProfileStore({ flat, sets, feed }: ProfileStoreDeps): ProfileStore {
  const entries = new Map<string, Entry>()
  const withDomains = new Set<string>()

  function resolve(name: string): Profile | null {
    const had = entries.get(name)
    const given = flat(name)
    entries.delete(name)
    withDomains.delete(name)
    let value: Profile | null = null
    if (given !== null) {
      const compiled = compileProfile(given, sets)
      entries.set(name, { compiled, domains: domainKey(compiled) })
      if (compiled.domainSelections.length > 0) withDomains.add(name)
      value = compiled.value
    }
    for (const hold of had?.compiled.holds ?? []) hold.release()
    return value
  }

  return {
    get: (name) => entries.get(name)?.compiled.value ?? resolve(name),
    changed: (name) => void resolve(name),
    refreshDomains() {
      for (const name of [...withDomains]) {
        const { compiled, domains } = entries.get(name) as Entry
        if (domains === domainKey(compiled)) continue
        resolve(name)
        feed.profile(name)
      }
    },
  }
}
