import { MargayError, messageOf } from '@margay/kit/errors'
import {
  decisionOf,
  decisionText,
  type EndAnswer,
  type EndAnswers,
  type Explanation,
  explainProbe,
  formatExplanation,
  judgeProbe,
  parseProbe,
} from '@margay/schemas'
import type { Command } from 'commander'
import pc from 'picocolors'
import type { Context } from '../context.ts'
import { worldOfApi, worldOfFiles } from '../world.ts'

interface WhyOptions {
  protocol?: string
  filename?: string[]
  output: string
}

/** Adds `why`. */
export function addWhyCommand(program: Command, context: Context): void {
  program
    .command('why <source> <destination>')
    .usage('SOURCE DESTINATION[:PORT]    each NAMESPACE/POD, NAMESPACE/SERVICE, node/NAME, an address or a domain name')
    .description(
      'why a connection is allowed or denied: the rule that decides, every step to it, and the rules that came close; exits 1 when denied',
    )
    .option('-p, --protocol <protocol>', 'tcp, udp, icmp, sctp or a number')
    .option('-f, --filename <path...>', 'judge by these files, folders or - instead of the running API')
    .option('-o, --output <format>', 'text or json', 'text')
    .action((source: string, destination: string, options: WhyOptions) => why(context, source, destination, options))
}

async function why(context: Context, source: string, destination: string, options: WhyOptions): Promise<void> {
  const world = options.filename === undefined ? await worldOfApi(context.client) : worldOfFiles(options.filename)
  let answer: ReturnType<typeof judgeProbe>
  let explanation: Explanation
  try {
    const probe = parseProbe(world, source, destination, options.protocol ?? null)
    answer = judgeProbe(world, probe)
    explanation = explainProbe(world, probe)
  } catch (cause) {
    throw new MargayError('CONNECTIVITY_INVALID', messageOf(cause), { cause })
  }
  if (options.output === 'json') context.out(JSON.stringify(answer))
  else {
    const paint = context.colour ? pc : pc.createColors(false)
    const shown = (verdict: string) => (verdict === 'deny' ? paint.red('DENY') : paint.green('ALLOW'))
    const decision = decisionOf(answer)
    context.out(`${source} → ${destination}: ${shown(answer.verdict)} by ${decisionText(decision)} (${decision.end})`)
    context.out(formatExplanation(explanation))
    if (JSON.stringify(answer.pending) !== JSON.stringify(answerOnly(answer))) {
      const pending = decisionOf(answer.pending)
      context.out(`with staged policies: ${shown(answer.pending.verdict)} by ${decisionText(pending)} (${pending.end})`)
      context.out(trace(answer.pending))
    }
    for (const { ip, port, verdict } of answer.backends ?? []) context.out(`  backend ${ip}:${port}: ${verdict}`)
  }
  if (answer.verdict === 'deny') context.setExit(1)
}

const answerOnly = ({ verdict, egress, ingress, transit }: EndAnswers): EndAnswers => ({
  verdict,
  egress,
  ingress,
  ...(transit && { transit }),
})

function trace({ egress, ingress, transit }: EndAnswers): string {
  const end = (name: string, answer: EndAnswer | undefined): string[] =>
    answer === undefined
      ? []
      : [`  ${name}: ${answer.exempt ?? answer.verdict}`, ...answer.trace.map((hit) => `    ${hit}`)]
  return [
    ...end('egress', egress),
    ...end('transit, from the source', transit?.egress),
    ...end('transit, to the destination', transit?.ingress),
    ...end('ingress', ingress),
  ].join('\n')
}
