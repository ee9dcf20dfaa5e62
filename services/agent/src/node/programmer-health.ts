import type { Health } from '@margay/kit/component'
import type { Capability, Programmed } from '../dataplane/dataplane.ts'

/** How it stands with policy on a node. */
export interface ProgrammerState {
  /** Why the newest policy is not in force; null when it is. */
  readonly failure: string | null
  /** Endpoints without an interface. */
  readonly waiting: readonly string[]
  /** Host endpoints without an interface of their own. */
  readonly unplaced: readonly string[]
  readonly programmed: Programmed
  readonly domains: Capability
}

const some = (names: readonly string[]) => names.slice(0, 3).join(', ')

/** Names everything that is not enforced, and why. */
export function programmerHealth({ failure, waiting, unplaced, programmed, domains }: ProgrammerState): Health {
  if (failure !== null) return { state: 'degraded', reason: `policy is not in force: ${failure}` }
  const reasons: string[] = []
  if (waiting.length > 0)
    reasons.push(`${waiting.length} endpoints have no interface yet and are not enforced (${some(waiting)})`)
  if (unplaced.length > 0)
    reasons.push(
      `${unplaced.length} host endpoints have no interface of their own and are not enforced (${some(unplaced)})`,
    )
  const { domainSets, refused } = programmed
  if (domainSets > 0 && !domains.on) reasons.push(`rules with domains match nothing on this node: ${domains.reason}`)
  const [first] = refused
  if (first !== undefined)
    reasons.push(`${refused.size} policies are refused and what they said before stays (${first[0]}: ${first[1]})`)
  return reasons.length === 0 ? { state: 'ok' } : { state: 'degraded', reason: reasons.join('; ') }
}
