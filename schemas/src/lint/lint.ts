import { keyOf } from '../resources/kinds.ts'
import { printPath } from '../resources/path.ts'
import type { Problem, Resource } from '../resources/resource.ts'
import { createContext, titleOf } from './context.ts'
import type { LintFinding, LintSubject, Severity } from './finding.ts'
import { lintRules } from './rules.ts'

/** What surrounds the resources that are looked at. */
export interface LintOptions {
  /** Resources of the cluster that they belong to; those of the same identity are left out. */
  readonly cluster?: readonly Resource[]
  /** True when the subjects themselves are all the resources of a cluster. */
  readonly isWhole?: boolean
}

/** Severities, the worst first. */
export const severities: readonly Severity[] = ['error', 'warning', 'info']

/** Holds resources against every rule. Findings come in the order of the subjects, then of the lines. */
export function lint(subjects: readonly LintSubject[], options: LintOptions = {}): LintFinding[] {
  const { cluster = [], isWhole = cluster.length > 0 } = options
  const own = new Map(subjects.map((subject) => [keyOf(subject.resource), subject]))
  const around = cluster.filter((resource) => !own.has(keyOf(resource))).map((resource): LintSubject => ({ resource }))
  const context = createContext([...own.values(), ...around], isWhole)
  const findings: LintFinding[] = []
  const reported = new Set(own.values())
  for (const rule of lintRules) {
    rule.check(context, (subject, at, message, special = {}) => {
      if (!reported.has(subject)) return
      const { resource, file } = subject
      const line = subject.lineAt?.(at) ?? subject.line
      findings.push({
        rule: rule.id,
        severity: special.severity ?? rule.severity,
        key: keyOf(resource),
        object: titleOf(resource),
        ...(file === undefined ? {} : { file }),
        ...(line === undefined ? {} : { line }),
        path: printPath(at),
        message,
        why: rule.why,
        remedy: special.remedy ?? rule.remedy,
      })
    })
  }
  const place = new Map([...own.keys()].map((key, index) => [key, index]))
  const placeOf = ({ key }: LintFinding) => place.get(key) ?? 0
  return findings.sort((a, b) => placeOf(a) - placeOf(b) || (a.line ?? 0) - (b.line ?? 0))
}

/** Problems of the validator that rules of the linter say better. */
const saidBetter = new Set(['lookback-leaves-gaps', 'frequent'])

/** What the validator found, as findings of the rule `validation`; kinds that Margay does not know are no mistake as such. */
export function validationFindings(problems: readonly Problem[]): LintFinding[] {
  return problems
    .filter(
      ({ rule, message }) => !saidBetter.has(rule) && (rule !== 'unknown-kind' || message.includes('did you mean')),
    )
    .map(({ severity, file, line, path, message, rule }) => ({
      rule: 'validation',
      severity,
      key: '',
      object: '',
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
      path,
      message: `${message} (${rule})`,
      why:
        severity === 'error'
          ? 'The API refuses this resource.'
          : 'The API takes this resource, and does not do what it seems to say.',
      remedy: 'Correct the field.',
    }))
}
