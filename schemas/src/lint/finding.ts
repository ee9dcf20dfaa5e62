import type { Path } from '../resources/path.ts'
import type { Resource, ResourceKey } from '../resources/resource.ts'
import type { LintContext } from './context.ts'

/** How bad a finding is: `error` breaks something, `warning` most likely is not what was meant, `info` is worth knowing. */
export type Severity = 'error' | 'warning' | 'info'

/** A resource to be looked at, complete with defaults, and where it was read from. */
export interface LintSubject {
  readonly resource: Resource
  readonly file?: string
  /** First line of its document, 1-based. */
  readonly line?: number
  /** Line of one of its members, 1-based. */
  lineAt?(path: Path): number
}

/** What a rule found, where it stands, why it matters and what to do about it. */
export interface LintFinding {
  /** Id of the rule; also the anchor of its entry in the reference. */
  readonly rule: string
  readonly severity: Severity
  readonly key: ResourceKey
  /** `<Kind> [<namespace>/]<name>`. */
  readonly object: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  /** As in `spec.egress[0].destination`; empty for the resource as a whole. */
  readonly path: string
  readonly message: string
  readonly why: string
  readonly remedy: string
}

/** What a rule may say differently in one case. */
export interface LintCase {
  readonly severity?: Severity
  readonly remedy?: string
}

/** Notes a finding at a place of a resource. */
export type LintReport = (subject: LintSubject, at: Path, message: string, special?: LintCase) => void

/** One mistake that the linter knows. */
export interface LintRule {
  /** Stable, in kebab case. */
  readonly id: string
  readonly severity: Severity
  /** What it finds, in one line. */
  readonly title: string
  readonly why: string
  readonly remedy: string
  check(context: LintContext, report: LintReport): void
}
