import type { FlatPolicy } from '../policy/flat-policy.ts'
import { flattenPolicy } from '../policy/flatten.ts'
import type { Direction } from '../policy/model.ts'
import { builtInTiers, type TierSpec } from '../resources/kinds/tier.ts'
import type { PolicySpec } from '../resources/policy-spec.ts'
import type { Resource } from '../resources/resource.ts'
import type { LintSubject } from './finding.ts'
import { type Inventory, type Thing, takeInventory } from './inventory.ts'

/** A tier in its place. */
export interface LintTier {
  readonly name: string
  readonly order: number
  readonly endsInDeny: boolean
  /** In evaluation order, staged ones among them. */
  readonly policies: readonly LintPolicy[]
}

/** A policy, what it says, and the endpoints that it selects. */
export interface LintPolicy {
  readonly subject: LintSubject
  readonly flat: FlatPolicy
  /** As written, for kinds of Calico; null for those of Kubernetes. */
  readonly spec: PolicySpec | null
  /** `Kind [namespace/]name`. */
  readonly title: string
  readonly endpoints: readonly Thing[]
  selects(endpoint: Thing): boolean
}

/** Everything that rules look at. */
export interface LintContext {
  /** Those to report on and those that only surround them. */
  readonly resources: readonly LintSubject[]
  readonly inventory: Inventory
  readonly policies: readonly LintPolicy[]
  /** In evaluation order. */
  readonly tiers: readonly LintTier[]
  /** Names of all tiers; null when the resources do not tell, as those of a file with policies alone. */
  readonly tierNames: ReadonlySet<string> | null
  /** True when the resources are those of a whole cluster: what is not there does not exist. */
  readonly isWhole: boolean
}

/** Kind and full name, as findings show an object. */
export function titleOf({ kind, metadata }: Resource): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`
}

/** Works out what rules look at. */
export function createContext(resources: readonly LintSubject[], isWhole: boolean): LintContext {
  const inventory = takeInventory(resources.map(({ resource }) => resource))
  const policies = resources.flatMap((subject) => policyOf(subject, inventory))
  const tiers = resources.filter(({ resource }) => resource.kind === 'Tier').map(({ resource }) => resource)
  const known = new Set([...builtInTiers, ...tiers.map(({ metadata }) => metadata)].map(({ name }) => name))
  return {
    resources,
    inventory,
    policies,
    tiers: sortTiers(tiers, policies),
    tierNames: isWhole || tiers.length > 0 ? known : null,
    isWhole,
  }
}

function policyOf(subject: LintSubject, inventory: Inventory): LintPolicy[] {
  const { resource } = subject
  let flat: FlatPolicy | null = null
  try {
    flat = flattenPolicy(resource)
  } catch {
    // The validator says what is wrong with it.
  }
  if (flat === null) return []
  const isCalico = resource.apiVersion.startsWith('projectcalico.org/') && !resource.kind.includes('Kubernetes')
  const endpoints = inventory.select(flat.selector.expression).filter(({ kind }) => kind !== 'ns')
  const spec = isCalico ? ((resource.spec ?? {}) as PolicySpec) : null
  const selected = new Set(endpoints)
  return [{ subject, flat, spec, title: titleOf(resource), endpoints, selects: (endpoint) => selected.has(endpoint) }]
}

/** Tiers by order, then name; those that nobody created last. Policies by order, then the text `name/namespace/kind` (spec 14, 3). */
function sortTiers(given: readonly Resource[], policies: readonly LintPolicy[]): LintTier[] {
  const heads = new Map<string, { readonly order: number; readonly endsInDeny: boolean }>()
  for (const { flat } of policies) heads.set(flat.ref.tier, { order: Number.POSITIVE_INFINITY, endsInDeny: true })
  for (const { name, order, defaultAction } of builtInTiers)
    heads.set(name, { order, endsInDeny: defaultAction === 'Deny' })
  for (const { metadata, spec } of given) {
    const { order = Number.POSITIVE_INFINITY, defaultAction } = (spec ?? {}) as TierSpec
    heads.set(metadata.name, { order, endsInDeny: defaultAction !== 'Pass' })
  }
  const tie = ({ flat: { ref } }: LintPolicy) => `${ref.name}/${ref.namespace ?? ''}/${ref.kind}`
  return [...heads]
    .map(([name, head]) => ({
      name,
      ...head,
      policies: policies
        .filter(({ flat }) => flat.ref.tier === name)
        .sort((a, b) => compare(a.flat.order, b.flat.order) || (tie(a) < tie(b) ? -1 : 1)),
    }))
    .sort((a, b) => compare(a.order, b.order) || (a.name < b.name ? -1 : 1))
}

/** Infinity equals infinity, which a difference would not say. */
const compare = (a: number, b: number) => (a === b ? 0 : a - b)

/** The fields of each direction's peers: where traffic comes from, or where it goes. */
export const peerSide = { ingress: 'source', egress: 'destination' } as const satisfies Record<Direction, string>

/** Both directions, in the order of findings. */
export const directions: readonly Direction[] = ['ingress', 'egress']

/** True when a policy is in force in a direction. */
export function governs({ flat }: LintPolicy, direction: Direction): boolean {
  return !flat.staged && flat.directions.includes(direction)
}
