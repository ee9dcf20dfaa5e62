import { lintRules } from '@margay/schemas'

/** The reference of the linter's rules. */
export function lintReference(): string {
  const rows = lintRules.map(({ id, severity, title }) => `| [${id}](#${id}) | ${severity} | ${title} |`)
  const sections = lintRules.map(
    ({ id, severity, title, why, remedy }) =>
      `## ${id}\n\n${capital(title)} (${severity}).\n\n**Why it matters.** ${why}\n\n**What to do.** ${remedy}\n`,
  )
  return `# Lint rules

\`margay lint -f FILE|FOLDER|-\` holds resources against these rules; \`--against-cluster\` adds what the running cluster holds, and without \`-f\` the cluster itself is looked at.
An \`error\` breaks something, a \`warning\` most likely is not what was meant, an \`info\` is worth knowing.
Exit code: 0 nothing found, 1 findings of the severity of \`--fail-on\` (default warning) or worse, 64 and above: the command line or a document cannot be read.
Workloads (Deployments and the like) count as the pods that they make. Rules that compare selectors with labels are silent when no workload is given.

| Rule | Severity | Finds |
|---|---|---|
${rows.join('\n')}
| [validation](#validation) | error, warning | a field that breaks a rule of its kind, or that no kind knows |

${sections.join('\n')}
## validation

What the API itself refuses or warns of when the resource is applied: the message names the rule of the validator.

**What to do.** Correct the field.
`
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
