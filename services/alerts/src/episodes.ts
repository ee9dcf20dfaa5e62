import type { Hit } from './hit.ts'
import type { Window } from './windows.ts'

/** How long one group of an alert has been over its condition without a break. */
export interface Episode {
  /** End of the first window that held the group, unix ms. */
  readonly since: number
  /** End of the window for which an event was written last, unix ms. */
  readonly raised: number
}

/** What one run changes. */
export interface Judgement {
  /** Groups for which an event is to be written, with the episode as it is then. */
  readonly raised: readonly { readonly hit: Hit; readonly episode: Episode; readonly isRepeat: boolean }[]
  /** Fingerprints whose group is gone. */
  readonly ended: readonly string[]
}

/**
 * Decides which hits of a window are news. A group is raised when its episode begins, and again each time that
 * `repeatMs` have passed; a single row is raised once. A window without the group ends its episode, unless the window
 * was cut off at the cap: then absence proves nothing.
 */
export function judge(
  open: ReadonlyMap<string, Episode>,
  found: { readonly hits: readonly Hit[]; readonly isTruncated: boolean; readonly window: Window },
  repeatMs: number,
): Judgement {
  const { hits, isTruncated, window } = found
  const present = new Set<string>()
  const raised: { hit: Hit; episode: Episode; isRepeat: boolean }[] = []
  for (const hit of hits) {
    if (present.has(hit.fingerprint)) continue
    present.add(hit.fingerprint)
    const episode = open.get(hit.fingerprint)
    if (episode === undefined) raised.push({ hit, episode: { since: window.to, raised: window.to }, isRepeat: false })
    else if (!hit.isRow && window.to - episode.raised >= repeatMs)
      raised.push({ hit, episode: { since: episode.since, raised: window.to }, isRepeat: true })
  }
  const ended = isTruncated ? [] : [...open.keys()].filter((fingerprint) => !present.has(fingerprint))
  return { raised, ended }
}
