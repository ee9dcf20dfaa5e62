import type { LintFinding, Severity } from '@margay/schemas'

const colours: Readonly<Record<Severity, number>> = { error: 31, warning: 33, info: 36 }

/** Findings for a person: `file:line: severity: what (rule)`, then why and what to do, once for each rule. */
export function lintText(findings: readonly LintFinding[], colour: boolean): string {
  const paint = (text: string, code: number) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  const explained = new Set<string>()
  return findings
    .map((finding) => {
      const { rule, severity, path, message, why, remedy } = finding
      const head = `${placeOf(finding)}: ${paint(severity, colours[severity])}: ${message} (${rule})`
      const at = path === '' ? [] : [`  at:  ${path}`]
      if (explained.has(rule)) return [head, ...at].join('\n')
      explained.add(rule)
      return [head, ...at, `  why: ${why}`, `  do:  ${remedy}`, `  see: schemas/LINT.md#${rule}`].join('\n')
    })
    .join('\n')
}

function placeOf({ file, line, object }: LintFinding): string {
  if (file === undefined) return object
  return line === undefined ? file : `${file}:${line}`
}
