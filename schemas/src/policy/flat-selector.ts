import type { EntityRuleSpec, PolicySpec } from '../resources/policy-spec.ts'
import { and, type Expression, equals, has, mapLeaves, not, oneOf, prefixLabels } from './selector/expression.ts'
import { parseExpression } from './selector/parser.ts'
import { type Selector, selectorOf } from './selector/selector.ts'

/** Labels that every workload endpoint has beside its own: its namespace, `k8s`, and its service account. */
export const namespaceLabel = 'projectcalico.org/namespace'
export const orchestratorLabel = 'projectcalico.org/orchestrator'
export const serviceAccountLabel = 'projectcalico.org/serviceaccount'
/** Prefixes under which labels of namespaces and service accounts reach their endpoints. */
export const namespacePrefix = 'pcns.'
export const serviceAccountPrefix = 'pcsa.'

const given = (text: string | undefined): text is string => text !== undefined && text !== ''

/** A selector over namespace labels, asked of endpoints: `all()` is any namespace, `global()` none. */
function overNamespaces(text: string): Expression {
  const inNamespace = has(namespaceLabel)
  return mapLeaves(prefixLabels(parseExpression(text), namespacePrefix), (leaf) => {
    if (leaf.kind === 'all') return inNamespace
    return leaf.kind === 'global' ? not(inNamespace) : leaf
  })
}

function overServiceAccounts(text: string): Expression {
  return prefixLabels(parseExpression(text), serviceAccountPrefix)
}

/** What a policy selects: its own selectors joined, and its namespace when it has one. Throws SelectorError. */
export function policySelector(spec: PolicySpec, namespace: string | null): Selector {
  return selectorOf(
    and(
      namespace === null ? null : equals(namespaceLabel, namespace),
      given(spec.namespaceSelector) ? overNamespaces(spec.namespaceSelector) : null,
      given(spec.serviceAccountSelector) ? overServiceAccounts(spec.serviceAccountSelector) : null,
      given(spec.selector) ? parseExpression(spec.selector) : null,
    ),
  )
}

/**
 * What one side of a rule selects, or null when it does not restrict endpoints: an empty side of a namespaced policy is not
 * limited to the namespace. Throws SelectorError.
 */
export function entitySelector(entity: EntityRuleSpec, namespace: string | null): Selector | null {
  const { selector, notSelector, namespaceSelector, serviceAccounts } = entity
  const names = serviceAccounts?.names ?? []
  const accounts = given(serviceAccounts?.selector) || names.length > 0
  if (!given(selector) && !given(notSelector) && !given(namespaceSelector) && !accounts) return null
  const scope = given(namespaceSelector)
    ? overNamespaces(namespaceSelector)
    : namespace === null
      ? null
      : equals(namespaceLabel, namespace)
  const parts = [
    scope,
    given(serviceAccounts?.selector) ? overServiceAccounts(serviceAccounts.selector) : null,
    names.length > 0 ? oneOf(serviceAccountLabel, names) : null,
    given(selector) ? parseExpression(selector) : null,
  ].filter((part) => part !== null)
  return parts.length === 0 ? null : selectorOf(and(...parts))
}
