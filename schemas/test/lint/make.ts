import { expect } from 'vitest'
import type { LintFinding } from '../../src/lint/finding.ts'
import { type LintOptions, lint } from '../../src/lint/lint.ts'
import { parseResources } from '../../src/resources/parse.ts'

/** Findings of YAML text; the text itself must be valid. */
export function lintText(text: string, options: LintOptions = {}): LintFinding[] {
  const { resources, problems } = parseResources(text, 'a.yaml')
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return lint(resources, options)
}

/** Findings of one rule as `line path: message`. */
export function told(rule: string, text: string, options: LintOptions = {}): string[] {
  return lintText(text, options)
    .filter((finding) => finding.rule === rule)
    .map(({ line, path, message }) => `${line} ${path}: ${message}`)
}

const labelsOf = (labels: Record<string, string>) => JSON.stringify(labels)

/** A pod in one document. */
export const pod = (place: string, labels: Record<string, string> = {}, spec: Record<string, unknown> = {}) => {
  const [namespace, name] = place.split('/')
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: ${labelsOf(labels)}}
spec: ${JSON.stringify({ nodeName: 'node1', ...spec })}
`
}

/** A Calico policy in one document; a tier other than default needs its own. */
export const policy = (name: string, spec: string, namespace?: string) => `---
apiVersion: projectcalico.org/v3
kind: ${namespace === undefined ? 'GlobalNetworkPolicy' : 'NetworkPolicy'}
metadata: {name: ${name}${namespace === undefined ? '' : `, namespace: ${namespace}`}}
spec: ${spec}
`

/** Any other Calico resource in one document. */
export const calico = (kind: string, name: string, spec: string, labels: Record<string, string> = {}) => `---
apiVersion: projectcalico.org/v3
kind: ${kind}
metadata: {name: ${name}, labels: ${labelsOf(labels)}}
spec: ${spec}
`
