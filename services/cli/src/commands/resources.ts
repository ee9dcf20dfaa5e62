import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MargayError } from '@margay/kit/errors'
import { findKind, type Kind, type Problem, type Resource } from '@margay/schemas'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import type { Context } from '../context.ts'
import { joinDocuments, readInput } from '../input.ts'
import { type OutputFormat, printResources } from '../print/resource.ts'

interface ApplyResult {
  kind: string
  namespace: string | null
  name: string
  result: string
  resource: Resource | null
  before?: Resource | null
}

interface ApplyAnswer {
  results: ApplyResult[]
  warnings?: Problem[]
}

/** Adds `get`, `apply`, `delete` and `diff`. */
export function addResourceCommands(program: Command, context: Context): void {
  program
    .command('get <kind> [name]')
    .description('list resources, or show one')
    .option('-n, --namespace <namespace>', 'namespace to look in')
    .option('-A, --all-namespaces', 'look in every namespace')
    .option('-l, --selector <labels>', 'only resources with these labels (k=v,k2=v2)')
    .option('-o, --output <format>', 'table, wide, yaml, json or name', 'table')
    .action((kind: string, name: string | undefined, options: GetOptions) => get(context, kind, name, options))
  program
    .command('apply')
    .description('create or change resources; all of them or none')
    .requiredOption('-f, --filename <path...>', 'file, folder or - for standard input')
    .option('--dry-run', 'check and compare, change nothing')
    .action((options: { filename: string[]; dryRun?: boolean }) => apply(context, options))
  program
    .command('delete [kind] [names...]')
    .description('delete resources by file, or by kind and name')
    .option('-f, --filename <path...>', 'file, folder or - for standard input')
    .option('-n, --namespace <namespace>', 'namespace of the resources')
    .action((kind: string | undefined, names: string[], options: { filename?: string[]; namespace?: string }) =>
      remove(context, kind, names, options),
    )
  program
    .command('diff')
    .description('show what apply would change; exits 1 when something would')
    .requiredOption('-f, --filename <path...>', 'file, folder or - for standard input')
    .action((options: { filename: string[] }) => diff(context, options.filename))
}

/** The plural with its group where it has one: two kinds are called networkpolicies. */
function qualified(kind: Kind): string {
  const [group, version] = (kind.apiVersions[0] ?? 'v1').split('/')
  return version === undefined ? kind.plural : `${kind.plural}.${group}`
}

interface GetOptions {
  namespace?: string
  allNamespaces?: boolean
  selector?: string
  output: OutputFormat
}

function kindOf(name: string): Kind {
  const [plural] = name.split('/')
  const kind = findKind(plural as string)
  if (kind === null) throw new MargayError('KIND_UNKNOWN', `unknown kind ${JSON.stringify(name)}: see \`margay kinds\``)
  return kind
}

async function get(context: Context, kindName: string, name: string | undefined, options: GetOptions): Promise<void> {
  const kind = kindOf(kindName)
  const [, inlineName] = kindName.split('/')
  const wanted = name ?? inlineName
  const query = new URLSearchParams()
  if (kind.namespaced && options.allNamespaces !== true) query.set('namespace', options.namespace ?? 'default')
  if (options.selector !== undefined) query.set('labelSelector', options.selector)
  const suffix = query.size > 0 ? `?${query}` : ''
  let resources: Resource[]
  if (wanted !== undefined)
    resources = [
      await context.client.call<Resource>(
        'GET',
        `/v1/resources/${qualified(kind)}/${encodeURIComponent(wanted)}${suffix}`,
      ),
    ]
  else
    resources = (await context.client.call<{ items: Resource[] }>('GET', `/v1/resources/${qualified(kind)}${suffix}`))
      .items
  if (resources.length === 0 && (options.output === 'table' || options.output === 'wide')) {
    const where =
      kind.namespaced && options.allNamespaces !== true ? ` in ${options.namespace ?? 'default'} namespace` : ''
    return context.talk(`No resources found${where}.`)
  }
  context.out(printResources(kind, resources, options.output, { now: context.now(), single: wanted !== undefined }))
}

async function apply(context: Context, options: { filename: string[]; dryRun?: boolean }): Promise<void> {
  const answer = await send(context, '/v1/apply', options.filename, options.dryRun === true)
  for (const result of answer.results)
    context.out(`${title(result)} ${result.result}${options.dryRun ? ' (dry run)' : ''}`)
}

/** Sends documents; prints warnings; turns the problems of a refusal into lines `file:line: path: message (rule)`. */
async function send(context: Context, path: string, files: readonly string[], dryRun: boolean): Promise<ApplyAnswer> {
  const documents = joinDocuments(readInput(files))
  const line = (problem: Problem) =>
    `${problem.line === undefined ? documents.name : documents.locate(problem.line)}: ${problem.path}${problem.path === '' ? '' : ': '}${problem.message} (${problem.rule})`
  try {
    const answer = await context.client.call<ApplyAnswer>('POST', `${path}?dryRun=${dryRun}`, documents.text)
    for (const warning of answer.warnings ?? []) context.talk(`warning: ${line(warning)}`)
    return answer
  } catch (error) {
    const problems = error instanceof MargayError ? (error.details.problems as Problem[] | undefined) : undefined
    if (problems === undefined) throw error
    const errors = problems.filter((p) => p.severity === 'error')
    throw new MargayError(
      (error as MargayError).code,
      `nothing was changed:\n${errors.map((p) => `  ${line(p)}`).join('\n')}`,
      { cause: error },
    )
  }
}

async function remove(
  context: Context,
  kindName: string | undefined,
  names: readonly string[],
  options: { filename?: string[]; namespace?: string },
): Promise<void> {
  if (options.filename !== undefined) {
    for (const result of (await send(context, '/v1/delete', options.filename, false)).results)
      context.out(`${title(result)} ${result.result}`)
    return
  }
  if (kindName === undefined || (names.length === 0 && !kindName.includes('/'))) {
    throw new MargayError('USAGE', 'delete needs -f FILE, or a kind and names: margay delete networkpolicy web -n shop')
  }
  const kind = kindOf(kindName)
  const [, inlineName] = kindName.split('/')
  const query = kind.namespaced ? `?namespace=${encodeURIComponent(options.namespace ?? 'default')}` : ''
  for (const name of [...(inlineName === undefined ? [] : [inlineName]), ...names]) {
    await context.client.call('DELETE', `/v1/resources/${qualified(kind)}/${encodeURIComponent(name)}${query}`)
    context.out(`${kind.plural}/${name} deleted`)
  }
}

async function diff(context: Context, files: readonly string[]): Promise<void> {
  const { results } = await send(context, '/v1/apply', files, true)
  const changed = results.filter((result) => result.result !== 'unchanged')
  if (changed.length === 0) return
  const folder = mkdtempSync(join(tmpdir(), 'margay-diff-'))
  try {
    for (const side of ['live', 'merged'] as const) {
      mkdirSync(join(folder, side))
      for (const result of changed) {
        const resource = side === 'live' ? result.before : result.resource
        if (resource) writeFileSync(join(folder, side, title(result).replaceAll('/', '.')), stringify(resource))
      }
    }
    const shown = spawnSync('diff', ['-u', '-N', 'live', 'merged'], { cwd: folder, encoding: 'utf8' })
    context.out(shown.stdout.trimEnd())
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  context.setExit(1)
}

/** `networkpolicy/web` as kubectl writes it, with the namespace where there is one. */
function title(result: ApplyResult): string {
  const plural = findKind(result.kind)?.plural ?? result.kind.toLowerCase()
  return `${plural}/${result.namespace ? `${result.namespace}/` : ''}${result.name}`
}
