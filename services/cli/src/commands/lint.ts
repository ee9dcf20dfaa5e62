import { MargayError } from '@margay/kit/errors'
import {
  kinds,
  type LintFinding,
  type LintSubject,
  lint,
  type Problem,
  parseResources,
  type Resource,
  type Severity,
  severities,
  validationFindings,
} from '@margay/schemas'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { readInput } from '../input.ts'
import { lintText } from '../print/lint-text.ts'

interface LintFlags {
  readonly filename?: string[]
  readonly output: string
  readonly failOn: string
  readonly againstCluster?: boolean
}

const usageExit = 64
const dataExit = 65

/** Adds `lint`. */
export function addLintCommands(program: Command, context: Context): void {
  program
    .command('lint')
    .description('find mistakes in resources; without -f, in those of the running cluster. Exits 1 when there are any')
    .option('-f, --filename <path...>', 'file, folder or - for standard input')
    .option('--against-cluster', 'hold the files against the resources of the running cluster')
    .option('--fail-on <severity>', 'least severity that makes the exit code 1: error, warning or info', 'warning')
    .option('-o, --output <format>', 'text or json', 'text')
    .action((flags: LintFlags) => run(context, flags))
}

async function run(context: Context, { filename, output, failOn, againstCluster }: LintFlags): Promise<void> {
  requireOneOf('--fail-on', failOn, severities)
  requireOneOf('--output', output, ['text', 'json'])
  const { subjects, problems } =
    filename === undefined ? { subjects: await clusterSubjects(context), problems: [] } : readSubjects(filename)
  const cluster = filename !== undefined && againstCluster === true ? await clusterResources(context) : []
  const found = [
    ...validationFindings(problems),
    ...lint(subjects, { cluster, isWhole: filename === undefined || cluster.length > 0 }),
  ]
  if (output === 'json') for (const finding of found) context.out(JSON.stringify(finding))
  else if (found.length > 0) context.out(lintText(found, context.colour))
  context.talk(summaryOf(found, subjects.length))
  const isBroken = problems.some(({ severity }) => severity === 'error')
  const worst = severities.slice(0, severities.indexOf(failOn as Severity) + 1)
  if (isBroken) context.setExit(dataExit)
  else if (found.some(({ severity }) => worst.includes(severity))) context.setExit(1)
}

function requireOneOf(option: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return
  throw new MargayError('USAGE', `${option} ${value} is not one of ${allowed.join(', ')}`, { status: usageExit })
}

function readSubjects(paths: readonly string[]): { subjects: LintSubject[]; problems: Problem[] } {
  const read = readInput(paths).map(({ name, text }) => parseResources(text, name))
  return { subjects: read.flatMap(({ resources }) => resources), problems: read.flatMap(({ problems }) => problems) }
}

/** Kinds that no rule looks at, and that hold what need not travel. */
const unread = ['Secret', 'ConfigMap', 'UISettings', 'UISettingsGroup', 'AuthorizationReview', 'AuthenticationReview']

/** Every resource of the running cluster that the user may see, kind by kind. */
async function clusterResources({ client, talk }: Context): Promise<Resource[]> {
  const hidden: string[] = []
  const lists = await Promise.all(
    kinds
      .filter(({ kind }) => !unread.includes(kind))
      .map(async ({ plural, apiVersions }) => {
        const [group, version] = (apiVersions[0] ?? 'v1').split('/')
        const name = version === undefined ? plural : `${plural}.${group}`
        try {
          return (await client.call<{ items: Resource[] }>('GET', `/v1/resources/${name}`)).items
        } catch (error) {
          if (!(error instanceof MargayError) || error.code !== 'FORBIDDEN') throw error
          hidden.push(plural)
          return []
        }
      }),
  )
  if (hidden.length > 0) talk(`not looked at, since you may not list them: ${hidden.join(', ')}`)
  return lists.flat()
}

const clusterSubjects = async (context: Context): Promise<LintSubject[]> =>
  (await clusterResources(context)).map((resource) => ({ resource }))

function summaryOf(findings: readonly LintFinding[], count: number): string {
  const counts = severities
    .map((severity) => ({ severity, number: findings.filter((finding) => finding.severity === severity).length }))
    .filter(({ number }) => number > 0)
    .map(({ severity, number }) => `${number} ${severity}${number === 1 || severity === 'info' ? '' : 's'}`)
  const resources = `${count} ${count === 1 ? 'resource' : 'resources'}`
  return counts.length === 0 ? `${resources}: nothing found.` : `${resources}: ${counts.join(', ')}.`
}
