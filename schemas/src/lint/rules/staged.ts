import { kindOf } from '../../resources/kinds.ts'
import type { Resource } from '../../resources/resource.ts'
import type { LintRule } from '../finding.ts'

/** Staged kinds, and what they become when they are enforced. */
const enforcedKinds: Readonly<Record<string, { readonly kind: string; readonly group: string }>> = {
  StagedNetworkPolicy: { kind: 'NetworkPolicy', group: 'projectcalico.org/' },
  StagedGlobalNetworkPolicy: { kind: 'GlobalNetworkPolicy', group: 'projectcalico.org/' },
  StagedKubernetesNetworkPolicy: { kind: 'NetworkPolicy', group: 'networking.k8s.io/' },
}

/** Staged policies that have nothing to preview any more. */
export const stagedLeftover: LintRule = {
  id: 'staged-leftover',
  severity: 'warning',
  title: 'a staged policy that was enforced already',
  why: 'It previews what is in force. When the enforced policy is changed later, the staged copy shows the old state as what would come.',
  remedy: 'Delete the staged policy.',
  check({ resources, isWhole }, report) {
    for (const subject of resources) {
      const { resource } = subject
      const enforced = enforcedKinds[resource.kind]
      if (enforced === undefined) continue
      const twin = resources.find(
        ({ resource: { apiVersion, kind, metadata } }) =>
          kind === enforced.kind &&
          apiVersion.startsWith(enforced.group) &&
          metadata.name === resource.metadata.name &&
          metadata.namespace === resource.metadata.namespace,
      )?.resource
      const { stagedAction } = (resource.spec ?? {}) as { stagedAction?: string }
      if (stagedAction === 'Delete' && twin === undefined && isWhole)
        report(subject, ['spec', 'stagedAction'], `the ${enforced.kind} that it would delete does not exist`)
      if (stagedAction === 'Set' && twin !== undefined && bodyOf(twin) === bodyOf(resource))
        report(subject, [], `the ${enforced.kind} of the same name says the same and is in force`)
    }
  },
}

/** The spec as text that compares: members in alphabetical order, with defaults, without what only a staged policy has. */
function bodyOf(resource: Resource): string {
  const complete = kindOf(resource)?.complete(resource) ?? resource
  const { stagedAction: _, ...spec } = (complete.spec ?? {}) as Record<string, unknown>
  return JSON.stringify(spec, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}
