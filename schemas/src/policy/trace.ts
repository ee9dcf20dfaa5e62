import type { PolicyKind, PolicyRef, TraceEntry } from './model.ts'

/** The tier under which traces list profiles. */
export const profileTier = '__PROFILE__'
/** The name of the profile when none matched. */
export const noMatch = '__NO_MATCH__'

const kubernetesPrefix = 'knp.default.'

/** The name of a policy without the leading `<tier>.` that older clusters demand. */
export function shortName({ tier, name }: Pick<PolicyRef, 'tier' | 'name'>): string {
  return name.startsWith(`${tier}.`) && name.length > tier.length + 1 ? name.slice(tier.length + 1) : name
}

/** A policy as traces and flow logs name it (spec 4.2.4): `<tier>.<name>`, `<ns>/staged:<tier>.<name>`, `<ns>/knp.default.<name>`. */
export function printPolicy(ref: PolicyRef, staged: boolean): string {
  return `${ref.namespace === null ? '' : `${ref.namespace}/`}${staged ? 'staged:' : ''}${prefixedName(ref)}`
}

function prefixedName(ref: PolicyRef): string {
  switch (ref.kind) {
    case 'knp':
    case 'sknp':
      return kubernetesPrefix + ref.name
    case 'kcnp':
      return `kcnp.${ref.tier}.${ref.name}`
    case 'profile':
      return `${profileTier}.${ref.name}`
    default:
      return ref.name.startsWith(kubernetesPrefix) ? ref.name : `${ref.tier}.${shortName(ref)}`
  }
}

/** Writes a hit in the documented form: `<index>|<tier>|<policy>|<action>|<rule index>`. */
export function formatTrace({ index, ref, staged, action, ruleIndex }: TraceEntry): string {
  return `${index}|${ref.tier}|${printPolicy(ref, staged)}|${action}|${ruleIndex}`
}

/** A text that is no trace entry. */
export class TraceError extends Error {
  readonly code = 'TRACE_INVALID'

  constructor(text: string) {
    super(`${JSON.stringify(text)} is not a trace entry: <index>|<tier>|<policy>|<action>|<rule index>`)
    this.name = 'TraceError'
  }
}

const form = /^(\d+)\|([^|]+)\|([^|]+)\|(allow|deny|pass)\|(-?\d+)$/

/**
 * Reads a hit in any form in circulation: documented, staged mark before or after the tier, kind prefix. The documented form does not tell
 * whether metadata.name has the tier in front; the name read is without. Throws TraceError.
 */
export function parseTrace(text: string): TraceEntry {
  const match = form.exec(text)
  if (match === null) throw new TraceError(text)
  const [, index, tier, policy, action, ruleIndex] = match as unknown as [
    string,
    string,
    string,
    string,
    TraceEntry['action'],
    string,
  ]
  return { index: Number(index), ...parsePolicy(policy, tier), action, ruleIndex: Number(ruleIndex) }
}

const kindPrefix = /^(np|gnp|snp|sgnp|sknp|knp|kcnp|pro|eot):(.+)$/

function parsePolicy(text: string, tier: string): Pick<TraceEntry, 'ref' | 'staged'> {
  const prefixed = kindPrefix.exec(text)
  if (prefixed !== null) {
    const kind = prefixed[1] as string
    const { namespace, name } = splitNamespace(prefixed[2] as string)
    const policyKind = kind === 'pro' ? 'profile' : kind === 'eot' ? 'gnp' : (kind as PolicyKind)
    return {
      ref: { kind: policyKind, tier, namespace, name },
      staged: kind === 'snp' || kind === 'sgnp' || kind === 'sknp',
    }
  }
  const { namespace, name: rest } = splitNamespace(text)
  const staged = rest.startsWith('staged:') || rest.startsWith(`${tier}.staged:`)
  const full = rest.replace('staged:', '')
  return { ref: { tier, namespace, ...readName(full, tier, namespace, staged) }, staged }
}

function splitNamespace(text: string): { namespace: string | null; name: string } {
  const slash = text.indexOf('/')
  return slash < 0 ? { namespace: null, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}

const clusterPolicy =
  /^(?:kcnp\.(?:kube-admin|kube-baseline)|kanp\.adminnetworkpolicy|kbanp\.baselineadminnetworkpolicy)\.(.+)$/

function readName(
  name: string,
  tier: string,
  namespace: string | null,
  staged: boolean,
): Pick<PolicyRef, 'kind' | 'name'> {
  if (tier === profileTier) return { kind: 'profile', name: shortName({ tier, name }) }
  if (name.startsWith(kubernetesPrefix))
    return { kind: staged ? 'sknp' : 'knp', name: name.slice(kubernetesPrefix.length) }
  const cluster = clusterPolicy.exec(name)
  if (cluster !== null && namespace === null) return { kind: 'kcnp', name: cluster[1] as string }
  const kind = namespace === null ? (staged ? 'sgnp' : 'gnp') : staged ? 'snp' : 'np'
  return { kind, name: shortName({ tier, name }) }
}
