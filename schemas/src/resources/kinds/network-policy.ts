import { type TObject, Type } from 'typebox'
import type { Report } from '../finding.ts'
import { type Check, calico, defineKind } from '../kind.ts'
import { globalPolicyName, namespacedPolicyName } from '../name.ts'
import { checkRule, isGiven } from '../policy-rules.ts'
import {
  globalNetworkPolicySpec,
  networkPolicySpec,
  type PolicySpec,
  stagedGlobalNetworkPolicySpec,
  stagedNetworkPolicySpec,
} from '../policy-spec.ts'
import type { Resource } from '../resource.ts'
import { status } from '../schema.ts'

const specOf = (resource: Resource): PolicySpec => (resource.spec ?? {}) as PolicySpec

const rulesHold =
  (global: boolean): Check =>
  (resource, report) => {
    const spec = specOf(resource)
    for (const direction of ['ingress', 'egress'] as const) {
      for (const [index, rule] of (spec[direction] ?? []).entries()) {
        checkRule(rule, ['spec', direction, index], report, { direction, global })
      }
    }
  }

const hostStagesFit: Check = (resource, report) => {
  const { doNotTrack, preDNAT, applyOnForward, types, egress } = specOf(resource)
  if (doNotTrack && preDNAT) {
    report.error(['spec', 'preDNAT'], 'untracked-and-pre-dnat', 'doNotTrack and preDNAT exclude each other')
  }
  if ((doNotTrack || preDNAT) && !applyOnForward) {
    const flag = doNotTrack ? 'doNotTrack' : 'preDNAT'
    report.error(['spec', flag], 'apply-on-forward', `${flag} needs applyOnForward: true`)
  }
  if (!preDNAT) return
  if (egress !== undefined && egress.length > 0) {
    report.error(['spec', 'egress'], 'pre-dnat-egress', 'a preDNAT policy has ingress rules only')
  } else if (types?.includes('Egress')) {
    report.error(['spec', 'types'], 'pre-dnat-egress', 'a preDNAT policy has type Ingress only')
  }
}

const deletionIsEmpty: Check = (resource, report) => {
  if ((resource.spec as { stagedAction?: string } | undefined)?.stagedAction !== 'Delete') return
  for (const [field, value] of Object.entries(resource.spec as Record<string, never>)) {
    if (field === 'stagedAction' || field === 'tier' || !isGiven(value) || value === false || value === 0) continue
    report.error(['spec', field], 'staged-delete', `a staged deletion holds nothing but tier, so no ${field}`)
  }
}

const tierExists: Check = (resource, report) => {
  const { tier } = specOf(resource)
  if (tier === '') report.error(['spec', 'tier'], 'tier', 'tier must not be empty; leave it out for tier default')
}

/** Fills in the tier and the types that follow from the rules given (spec 5.2.2), and the label by which lists are filtered. */
function completePolicy(resource: Resource): void {
  const spec = specOf(resource)
  resource.spec = spec
  spec.tier ??= 'default'
  resource.metadata.labels = { ...resource.metadata.labels, 'projectcalico.org/tier': spec.tier }
  if (spec.stagedAction === 'Delete' || spec.types !== undefined) return
  spec.types = policyTypes(spec)
}

/** The directions that a policy governs when it does not say: those it has rules for, and ingress when it has none. */
function policyTypes(spec: Pick<PolicySpec, 'ingress' | 'egress'>): ('Ingress' | 'Egress')[] {
  const has = (rules: PolicySpec['ingress']) => rules !== undefined && rules.length > 0
  if (!has(spec.egress)) return ['Ingress']
  return has(spec.ingress) ? ['Ingress', 'Egress'] : ['Egress']
}

function completeStaged(resource: Resource): void {
  completePolicy(resource)
  specOf(resource).stagedAction ??= 'Set'
}

const members = (spec: TObject) => Type.Object({ spec: Type.Optional(spec), status: status() })

export const networkPolicy = defineKind({
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  shortNames: ['cnp', 'caliconetworkpolicy', 'caliconetworkpolicies'],
  apiVersions: calico,
  namespaced: true,
  members: members(networkPolicySpec),
  nameRule: namespacedPolicyName,
  checks: [tierExists, rulesHold(false)],
  defaults: completePolicy,
})

export const globalNetworkPolicy = defineKind({
  kind: 'GlobalNetworkPolicy',
  plural: 'globalnetworkpolicies',
  shortNames: ['gnp', 'cgnp', 'calicoglobalnetworkpolicies'],
  apiVersions: calico,
  namespaced: false,
  members: members(globalNetworkPolicySpec),
  nameRule: globalPolicyName,
  checks: [tierExists, rulesHold(true), hostStagesFit],
  defaults: completePolicy,
})

export const stagedNetworkPolicy = defineKind({
  kind: 'StagedNetworkPolicy',
  plural: 'stagednetworkpolicies',
  shortNames: ['snp', 'scnp'],
  apiVersions: calico,
  namespaced: true,
  members: members(stagedNetworkPolicySpec),
  nameRule: namespacedPolicyName,
  checks: [tierExists, rulesHold(false), deletionIsEmpty],
  defaults: completeStaged,
})

export const stagedGlobalNetworkPolicy = defineKind({
  kind: 'StagedGlobalNetworkPolicy',
  plural: 'stagedglobalnetworkpolicies',
  shortNames: ['sgnp'],
  apiVersions: calico,
  namespaced: false,
  members: members(stagedGlobalNetworkPolicySpec),
  nameRule: globalPolicyName,
  checks: [tierExists, rulesHold(true), hostStagesFit, deletionIsEmpty],
  defaults: completeStaged,
})

/** The same check for the staged Kubernetes policy, whose spec has other members. */
export function checkStagedDeletion(resource: Resource, report: Report): void {
  deletionIsEmpty(resource, report)
}
