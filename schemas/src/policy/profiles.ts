import type { ProfileSpec } from '../resources/kinds/endpoint.ts'
import type { Resource } from '../resources/resource.ts'
import { flattenRule } from './calico-policy.ts'
import { anyRule, type FlatRule } from './flat-policy.ts'
import { namespacePrefix, serviceAccountPrefix } from './flat-selector.ts'
import type { Labels } from './model.ts'

/** A profile before its rules are resolved: labels its endpoints inherit, rules for packets that no policy decided. */
export interface FlatProfile {
  readonly name: string
  readonly labels: Labels
  readonly ingress: readonly FlatRule[]
  readonly egress: readonly FlatRule[]
}

const allowAll = [anyRule(0, 'allow')]

/** The profile that a Namespace, ServiceAccount or Profile resource makes; null for other kinds. Throws SelectorError and PolicyError. */
export function profileOf(resource: Resource): FlatProfile | null {
  const { kind, metadata } = resource
  const { name, labels = {} } = metadata
  switch (kind) {
    case 'Namespace':
      return namespaceProfile(name, labels)
    case 'ServiceAccount':
      return accountProfile(metadata.namespace ?? 'default', name, labels)
    case 'Profile': {
      const { labelsToApply = {}, ingress = [], egress = [] } = (resource.spec ?? {}) as ProfileSpec
      const flat = (rules: NonNullable<ProfileSpec['ingress']>) =>
        rules.map((rule, index) => flattenRule(rule, index, null))
      return { name, labels: labelsToApply, ingress: flat(ingress), egress: flat(egress) }
    }
    default:
      return null
  }
}

/**
 * The profile that an endpoint refers to when no resource makes it. Kubernetes always has the namespace of a pod, so a missing one
 * still lets its pods talk; other profiles are unknown.
 */
export function impliedProfile(name: string): FlatProfile | null {
  if (name === 'projectcalico-default-allow') return { name, labels: {}, ingress: allowAll, egress: allowAll }
  if (name.startsWith('kns.')) return namespaceProfile(name.slice('kns.'.length), {})
  const account = /^ksa\.([^.]+)\.(.+)$/.exec(name)
  return account === null ? null : accountProfile(account[1] as string, account[2] as string, {})
}

function namespaceProfile(namespace: string, labels: Labels): FlatProfile {
  return {
    name: `kns.${namespace}`,
    labels: {
      ...prefixed({ 'kubernetes.io/metadata.name': namespace, ...labels }, namespacePrefix),
      [`${namespacePrefix}projectcalico.org/name`]: namespace,
    },
    ingress: allowAll,
    egress: allowAll,
  }
}

function accountProfile(namespace: string, account: string, labels: Labels): FlatProfile {
  return {
    name: `ksa.${namespace}.${account}`,
    labels: { ...prefixed(labels, serviceAccountPrefix), [`${serviceAccountPrefix}projectcalico.org/name`]: account },
    ingress: [],
    egress: [],
  }
}

function prefixed(labels: Labels, prefix: string): Labels {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [prefix + key, value]))
}
