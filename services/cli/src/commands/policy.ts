import { dirname, isAbsolute, join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'
import {
  type ConnectivityTests,
  checkExpectation,
  type Decision,
  type Expectation,
  type Outcome,
  outcomeOf,
  parseConnectivityTests,
  splitTarget,
  type World,
} from '@margay/schemas'
import type { Command } from 'commander'
import pc from 'picocolors'
import type { Context } from '../context.ts'
import { readInput } from '../input.ts'
import { type ProbeResult, probeLab } from '../lab-probe.ts'
import { resourcesOf, worldOf, worldOfApi } from '../world.ts'

/** Connections that are open in the lab at the same time: nearly all of a test's time is waiting for flow records. */
const atOnce = 16

interface TestOptions {
  lab?: boolean
  output: string
}

/** Adds `policy test`. */
export function addPolicyCommands(program: Command, context: Context): void {
  program
    .command('policy')
    .description('policies as code')
    .command('test <file...>')
    .description(
      'check connectivity tests: what should be allowed and denied, and by what; exits 1 when anything differs',
    )
    .option('--lab', 'open each connection in the running lab instead of asking the evaluator')
    .option('-o, --output <format>', 'text or json', 'text')
    .action((files: string[], options: TestOptions) => testAll(context, files, options))
}

async function testAll(context: Context, files: readonly string[], options: TestOptions): Promise<void> {
  const paint = context.colour ? pc : pc.createColors(false)
  let different = 0
  for (const file of files) {
    const outcomes = await outcomesOf(context, file, options)
    const wrong = outcomes.filter(({ differences }) => differences.length > 0)
    different += wrong.length
    if (options.output === 'json') {
      context.out(JSON.stringify({ file, passed: outcomes.length - wrong.length, failed: wrong.length, outcomes }))
      continue
    }
    for (const { expectation, differences, decided } of wrong) {
      context.out(`${paint.red('✗')} ${file}:${expectation.line}: ${connectionText(expectation)}`)
      for (const difference of differences) context.out(`    ${difference}: ${decided}`)
    }
    const sign = wrong.length === 0 ? paint.green('✓') : paint.red('✗')
    context.out(`${sign} ${file}: ${outcomes.length - wrong.length} as expected, ${wrong.length} different`)
  }
  if (different > 0) context.setExit(1)
}

async function outcomesOf(context: Context, file: string, options: TestOptions): Promise<Outcome[]> {
  const tests = readTests(file)
  if (options.lab !== true) {
    const world = await worldFor(context, file, tests)
    return tests.expectations.map((expectation) => checkExpectation(world, expectation))
  }
  const outcomes: Outcome[] = []
  const waiting = tests.expectations.entries()
  // The workers share the iterator: each takes the next that nobody has taken.
  const work = async () => {
    for (const [index, expectation] of waiting) outcomes[index] = await inLab(context, expectation)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return outcomes
}

function readTests(file: string): ConnectivityTests {
  const [input] = readInput([file])
  try {
    return parseConnectivityTests(input?.text ?? '')
  } catch (cause) {
    throw new MargayError('CONNECTIVITY_INVALID', `${file}: ${messageOf(cause)}`, { cause })
  }
}

/** What the file judges by: its resources, where paths are relative to the file, else those of the running API. */
async function worldFor(context: Context, file: string, { resources }: ConnectivityTests): Promise<World> {
  if (resources === null) return worldOfApi(context.client)
  const inputs = resources.flatMap((resource) =>
    typeof resource === 'string'
      ? readInput([isAbsolute(resource) ? resource : join(dirname(file), resource)])
      : [{ name: file, text: JSON.stringify(resource) }],
  )
  return worldOf(resourcesOf(inputs))
}

async function inLab(context: Context, expectation: Expectation): Promise<Outcome> {
  const { from, to, protocol } = expectation
  try {
    const target = splitTarget(to)
    const result = await probeLab(context.config.home, {
      source: from,
      destination: `${target.place}:${target.port}`,
      protocol: (target.protocol ?? protocol ?? 'tcp').toLowerCase(),
      waitFlowMs: 3000,
    })
    const outcome = outcomeOf(expectation, decisionOfRecord(result), null)
    return result.flow === null ? { ...outcome, decided: 'no flow record tells by what' } : outcome
  } catch (error) {
    if (error instanceof MargayError && error.code === 'LAB_UNREACHABLE') throw error
    return { expectation, verdict: null, decided: messageOf(error), differences: ['cannot be tried'] }
  }
}

/** What a flow record says about the verdict; only the verdict when there is no record. */
function decisionOfRecord({ verdict, error, flow }: ProbeResult): Decision {
  const hits = [...(flow?.enforced_policies ?? [])].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
  const isUnanswered = verdict === 'deny' && flow?.action === 'allow'
  return {
    verdict,
    end: flow?.reporter === 'src' ? 'egress' : 'ingress',
    hit: hits.at(-1) ?? null,
    exempt: null,
    ...(isUnanswered && { unanswered: silenceText(error) }),
  }
}

/** How a connection failed that policy allows. */
function silenceText(error: string | undefined): string {
  if (error === 'refused') return 'nobody listens there (refused)'
  return `nothing answered${error === undefined ? '' : ` (${error})`}`
}

function connectionText({ from, to, protocol }: Expectation): string {
  const isNamed = protocol === null || splitTarget(to).protocol !== undefined
  return `${from} → ${to}${isNamed ? '' : ` ${protocol}`}`
}
