import type { Caller } from './caller.ts'
import type { Attempt, Rights, Verb } from './rights.ts'

/** An object, or all objects of a kind, that somebody wants to do something with. */
export interface Target {
  /** API group; empty for the core group. */
  readonly group: string
  readonly plural: string
  readonly namespace: string | null
  readonly name: string | null
  /** Tier of a policy; null for what lies in no tier. */
  readonly tier: string | null
}

/** Whether it may be done; the reason is the message for who may not. */
export type RightsDecision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

/** Plurals of the kinds that a tier protects; policies of Kubernetes, staged or not, are not among them (spec 14, 11). */
export const tieredPlurals: readonly string[] = [
  'networkpolicies',
  'globalnetworkpolicies',
  'stagednetworkpolicies',
  'stagedglobalnetworkpolicies',
]

const calicoGroup = 'projectcalico.org'

/** True for policies that a tier protects. */
export function isTiered({ group, plural }: Pick<Target, 'group' | 'plural'>): boolean {
  return group === calicoGroup && tieredPlurals.includes(plural)
}

/** The tier that the name of a policy tells, for one that does not exist: `<tier>.<name>`, else tier default. */
export function tierOfName(name: string): string {
  const dot = name.indexOf('.')
  const first = dot < 0 ? '' : name.slice(0, dot)
  return first === '' || first === 'knp' || first === 'ossg' ? 'default' : first
}

/**
 * Decides about one attempt (spec 7.2). To do anything with a policy one must be able to get its tier, and have the verb on the
 * pseudo-resource `tier.<plural>` for all policies of the tier (`<tier>.*`) or for this one. Everything else is as in Kubernetes.
 */
export function decide(rights: Rights, caller: Caller, verb: Verb, target: Target): RightsDecision {
  return isTiered(target) && target.tier !== null
    ? decideTiered(rights, caller, verb, { ...target, tier: target.tier })
    : decidePlain(rights, caller, verb, target)
}

/** The log that a data set is part of, as roles name it (spec 7.4); data sets that hold nobody's data are in none. */
const logs: Readonly<Record<string, string>> = {
  flows: 'flows',
  dns: 'dns',
  l7: 'l7',
  audit: 'audit*',
  snapshots: 'audit*',
  events: 'events',
  notifications: 'events',
}

/** Data sets that belong to a log: who may read all of them may read everything. */
export const loggedDataSets: readonly string[] = Object.keys(logs)

/**
 * Decides whether somebody may read events of data sets: one needs `get` on the resource named as the cluster in group lma.tigera.io, for
 * all logs or for those by their names (spec 7.4).
 */
export function decideLogs(
  rights: Rights,
  caller: Caller,
  { cluster, dataSets }: { readonly cluster: string; readonly dataSets: readonly string[] },
): RightsDecision {
  for (const dataSet of dataSets) {
    const name = logs[dataSet]
    const attempt: Attempt = {
      verb: 'get',
      group: 'lma.tigera.io',
      resource: cluster,
      namespace: null,
      name: name ?? '',
    }
    if (name === undefined || rights.allows(caller, attempt)) continue
    const what = `resource "${cluster}" in API group "lma.tigera.io" with the name "${name}"`
    return refusal(`User "${caller.user}" cannot get ${what}, which the events of ${dataSet} need`, rights, caller)
  }
  return { allowed: true }
}

function decideTiered(
  rights: Rights,
  caller: Caller,
  verb: Verb,
  { group, plural, namespace, name, tier }: Target & { readonly tier: string },
): RightsDecision {
  const ofTier: Attempt = { verb: 'get', group, resource: 'tiers', namespace: null, name: tier }
  const mayGetTier = rights.allows(caller, ofTier)
  const ofPolicy = (policy: string): Attempt => ({ verb, group, resource: `tier.${plural}`, namespace, name: policy })
  const mayTouch = namesOf(tier, name).some((policy) => rights.allows(caller, ofPolicy(policy)))
  if (mayGetTier && mayTouch) return { allowed: true }
  const where = `in tier "${tier}"${namespace === null ? '' : ` and namespace "${namespace}"`}`
  const why = mayGetTier ? '' : ' (user cannot get tier)'
  return refusal(`User "${caller.user}" cannot ${verb} ${plural}.${group} ${where}${why}`, rights, caller)
}

/** The names by which a role may grant a policy: the whole tier, the name as given, and with the tier before it. */
function namesOf(tier: string, name: string | null): string[] {
  if (name === null) return [`${tier}.*`]
  return [`${tier}.*`, name, ...(name.startsWith(`${tier}.`) ? [] : [`${tier}.${name}`])]
}

function decidePlain(
  rights: Rights,
  caller: Caller,
  verb: Verb,
  { group, plural, namespace, name }: Target,
): RightsDecision {
  if (rights.allows(caller, { verb, group, resource: plural, namespace, name })) return { allowed: true }
  const where = namespace === null ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const what = `resource "${plural}" in API group "${group}"`
  return refusal(`User "${caller.user}" cannot ${verb} ${what} ${where}`, rights, caller)
}

function refusal(text: string, rights: Rights, caller: Caller): RightsDecision {
  const faults = rights.faults(caller)
  return { allowed: false, reason: faults.length === 0 ? text : `${text} (${faults.join('; ')})` }
}
