import { definitionOf } from '../../events/definitions.ts'
import { felixSpec, logSettings } from '../../flows/log-settings.ts'
import type { Expression } from '../../query/expression.ts'
import { parseQuery } from '../../query/parser.ts'
import { parseDuration } from '../../resources/duration.ts'
import type { GlobalAlertSpec } from '../../resources/kinds/alert.ts'
import type { LintContext } from '../context.ts'
import type { LintRule, LintSubject } from '../finding.ts'

/** How long the agent collects when nothing else is configured. */
const usualFlushMs = 10_000

/** Alerts that look back no further than to their last run. */
export const alertLookback: LintRule = {
  id: 'alert-lookback',
  severity: 'warning',
  title: 'an alert whose lookback leaves no time for events to arrive',
  why: 'Flow and DNS records are collected for a flush interval before they are sent. An event that arrives after the run of its period is seen by the next run only if that looks back far enough.',
  remedy: 'Make lookback longer than period and flush interval together: twice the period is usual.',
  check(context, report) {
    for (const { subject, spec } of alertsOf(context)) {
      const [period, lookback] = [parseDuration(spec.period ?? '5m') ?? 0, parseDuration(spec.lookback ?? '10m') ?? 0]
      const flush = flushOf(context, spec.dataSet)
      if (lookback > period + flush) continue
      const extra = flush === 0 ? '' : ` and the flush interval ${flush / 1000}s`
      report(
        subject,
        ['spec', 'lookback'],
        `lookback ${spec.lookback} is not longer than the period ${spec.period}${extra}: late events are missed`,
      )
    }
  },
}

function flushOf({ resources }: LintContext, dataSet: string | undefined): number {
  const felix = resources.map(({ resource }) => resource).filter(({ kind }) => kind === 'FelixConfiguration')
  const { flowFlushMs, dnsFlushMs } = logSettings(felixSpec(felix, null), { flowFlushMs: usualFlushMs })
  return dataSet === 'flows' ? flowFlushMs : dataSet === 'dns' ? dnsFlushMs : 0
}

/** What a shell leaves of `'${name}'`, `[${name}]`, `${a}/${b}` when it puts its own (absent) variables in. */
const scars = [
  /''|""/,
  /\[\s*\]|\(\s*\)/,
  /(^|\s)\/(\s|$)/,
  /\$\{\s*\}/,
  /\S {2,}\S/,
  /(^|\s)->(\s|$)(?=.*(^|\s)->(\s|$))/,
]

/** Messages that lost their placeholders on the way through a shell. */
export const alertPlaceholderLost: LintRule = {
  id: 'alert-placeholder-lost',
  severity: 'warning',
  title: 'an alert message from which the placeholders are gone',
  why: 'In a here-document whose end word is not quoted, the shell replaces ${source_name} by its own variable of that name, that is by nothing. The alert works, and tells nothing.',
  remedy: "Put the placeholders back, and quote the end word of the here-document: cat <<'EOF'.",
  check(context, report) {
    for (const { subject, spec } of alertsOf(context)) {
      for (const member of ['summary', 'description'] as const) {
        const text = spec[member] ?? ''
        if (/\$\{\s*[^\s}]/.test(text) || !scars.some((scar) => scar.test(text))) continue
        report(
          subject,
          ['spec', member],
          `${member} has no placeholder, and gaps where some were: ${JSON.stringify(text)}`,
        )
      }
    }
  },
}

/** Alerts that see what arrived only, so that they fall silent when policy does its work. */
export const alertOneReporter: LintRule = {
  id: 'alert-one-reporter',
  severity: 'info',
  title: 'an alert on flows that only counts what reaches its destination',
  why: 'A connection that the policy of its source denies leaves one record, with reporter = src. An alert on reporter = dst goes silent about an attempt as soon as egress policy stops it.',
  remedy: 'If attempts matter too, alert on reporter = src. If only what got through matters, say action = allow.',
  check(context, report) {
    for (const { subject, spec } of alertsOf(context)) {
      const definition = spec.dataSet === 'flows' ? definitionOf('flows') : null
      if (definition === null) continue
      let expression: Expression | null = null
      try {
        const substitutions = (spec.substitutions ?? []).map(({ name, values = [] }) => ({ name, values }))
        expression = parseQuery(spec.query ?? '', definition, { substitutions }).expression
      } catch {
        // The API says what is wrong with the query.
      }
      if (!demands(expression, 'reporter', 'dst') || demands(expression, 'action', 'allow')) continue
      report(subject, ['spec', 'query'], 'attempts that are denied at their source are not counted (reporter = dst)')
    }
  },
}

/** True when nothing that the query finds has another value of the field. */
function demands(expression: Expression | null, field: string, value: string): boolean {
  if (expression?.kind === 'and') return expression.operands.some((operand) => demands(operand, field, value))
  return (
    expression?.kind === 'compare' &&
    expression.operator === '=' &&
    expression.field.name === field &&
    expression.value === value
  )
}

function alertsOf({ resources }: LintContext): { readonly subject: LintSubject; readonly spec: GlobalAlertSpec }[] {
  return resources
    .filter(({ resource }) => resource.kind === 'GlobalAlert')
    .map((subject) => ({ subject, spec: subject.resource.spec as GlobalAlertSpec }))
}
