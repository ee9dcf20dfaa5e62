import { MargayError, messageOf } from '@margay/kit/errors'
import {
  arrivalsOf,
  decisionOf,
  decisionText,
  type EndAnswers,
  explain,
  formatExplanation,
  judgeProbe,
  type PolicyAnswer,
  parseProbe,
  type World,
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
    .usage(
      'SOURCE DESTINATION[:PORT]    each NAMESPACE/POD, node/NAME or an address; DESTINATION also a service ([NAMESPACE/]NAME or NAME.NAMESPACE) or a domain name',
    )
    .description(
      'why a connection is allowed or denied: who decides, each step to it, what came close; exits 1 when denied',
    )
    .option('-p, --protocol <protocol>', 'tcp, udp, icmp, sctp or a number')
    .option('-f, --filename <path...>', 'judge by these files, folders or - instead of the running API')
    .option('-o, --output <format>', 'text or json', 'text')
    .action((source: string, destination: string, options: WhyOptions) => why(context, source, destination, options))
}

async function why(context: Context, source: string, destination: string, options: WhyOptions): Promise<void> {
  if (options.output !== 'text' && options.output !== 'json')
    throw new MargayError('USAGE', `unknown output format ${JSON.stringify(options.output)}: text or json`)
  const world = options.filename === undefined ? await worldOfApi(context.client) : worldOfFiles(options.filename)
  const { answer, explanation, domain } = judged(world, source, destination, options.protocol ?? null)
  if (options.output === 'json') context.out(JSON.stringify({ ...answer, explanation }))
  else {
    const paint = context.colour ? pc : pc.createColors(false)
    const line = (judgement: EndAnswers) => {
      const decision = decisionOf(judgement)
      const verdict = judgement.verdict === 'deny' ? paint.red('DENY') : paint.green('ALLOW')
      return `${verdict} by ${decisionText(decision)} (${decision.end})`
    }
    context.out(`${source} → ${destination}: ${line(answer)}`)
    if (line(answer.pending) !== line(answer))
      context.out(`with staged policies as if enforced: ${line(answer.pending)}`)
    for (const { ip, port, verdict } of answer.backends ?? []) context.out(`at ${ip}:${port}: ${verdict}`)
    if (domain !== undefined)
      context.out(`${explanation.packet.destinationIp} stands in for ${domain}: no DNS answer for it is known here`)
    context.out(`\n${formatExplanation(explanation)}`)
  }
  if (answer.verdict === 'deny') context.setExit(1)
}

/** The judgement, the explanation of the packet that it is about, and the name that was addressed when nobody knows its address. */
function judged(
  world: World,
  source: string,
  destination: string,
  protocol: string | null,
): { answer: PolicyAnswer; explanation: ReturnType<typeof explain>; domain: string | undefined } {
  try {
    const probe = parseProbe(world, source, destination, protocol)
    const explanations = arrivalsOf(world, probe).packets.map((packet) => explain(world.cluster, packet))
    const denied = explanations.find(({ verdict }) => verdict === 'deny')
    return {
      answer: judgeProbe(world, probe),
      explanation: denied ?? (explanations[0] as ReturnType<typeof explain>),
      domain: probe.destination.domain,
    }
  } catch (cause) {
    throw new MargayError('CONNECTIVITY_INVALID', messageOf(cause), { cause })
  }
}
