import { spawn } from 'node:child_process'
import { MargayError } from '@margay/kit/errors'
import type { Command } from 'commander'
import { callSocket } from '../client.ts'
import type { Context } from '../context.ts'
import { joinDocuments, readInput } from '../input.ts'
import { labSocket, probeLab } from '../lab-probe.ts'
import { flowLine } from '../print/flow-line.ts'
import { table } from '../print/table.ts'

interface LabPod {
  namespace: string
  name: string
  node: string
  ip: string
  ports: (number | string)[]
  calls: string[] | number
  ready: boolean
}

interface LabStatus {
  mode: string
  reason?: string
  nodes: { name: string; netns: string | null }[]
  internet: { netns: string | null }
  pods: LabPod[]
  notes?: string[]
}

/** Exit codes beside 0 (success) and 1 (refused or timed out): wrong use begins at 64 (sysexits.h). */
const usageExit = 64

/** Adds `lab status|exec|probe|add|remove`. */
export function addLabCommands(program: Command, context: Context): void {
  const socket = labSocket(context.config.home)
  const lab = program
    .command('lab')
    .description('the small cluster that runs beside Margay: look at it, run programs in its pods, try connections')

  lab
    .command('status')
    .description('list the pods')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async (options: { output: string }) => {
      const status = await callSocket<LabStatus>(socket, 'GET', '/status')
      if (options.output === 'json') return context.out(JSON.stringify(status, null, 2))
      if (status.mode === 'simulated')
        context.talk(`simulated${status.reason === undefined ? '' : `: ${status.reason}`}`)
      const calls = (pod: LabPod) => (Array.isArray(pod.calls) ? String(pod.calls.length) : String(pod.calls))
      context.out(
        table(
          ['NAMESPACE', 'NAME', 'NODE', 'IP', 'PORTS', 'CALLS', 'READY'],
          status.pods.map((p) => [
            p.namespace,
            p.name,
            p.node,
            p.ip,
            p.ports.join(',') || '-',
            calls(p),
            p.ready ? 'true' : 'false',
          ]),
        ),
      )
    })

  lab
    .command('exec <place> <command...>')
    .usage('<namespace>/<pod> | <node> | internet -- COMMAND [ARG...]')
    .description(
      'run a program in the network of a pod, of a node or of the outside world; its exit code is passed through',
    )
    .passThroughOptions()
    .action(async (place: string, command: string[]) => {
      const netns = await netnsOf(socket, place)
      if (netns === null)
        throw new MargayError(
          'LAB_SIMULATED',
          'the lab is simulated: there is no network to run a program in. Start it as root with nftables installed',
        )
      // Options of the program are not ours, so the separator arrives with them.
      const program = command[0] === '--' ? command.slice(1) : command
      const child = spawn('ip', ['netns', 'exec', netns, ...program], { stdio: 'inherit' })
      context.setExit(
        await new Promise<number>((resolve, reject) => {
          child.once('error', reject)
          child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
        }),
      )
    })

  lab
    .command('probe <source> <destination>')
    .usage('<namespace>/<pod> | internet/IP  <namespace>/<pod>:PORT | NAME:PORT | IP:PORT')
    .description('open one fresh connection and tell the verdict and the rule that decided it; exits 1 when denied')
    .option('-p, --protocol <protocol>', 'tcp or udp', 'tcp')
    .option('--wait <ms>', 'how long to wait for the flow record', '3000')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(
      async (source: string, destination: string, options: { protocol: string; wait: string; output: string }) => {
        podPath(source)
        const result = await probeLab(context.config.home, {
          source,
          destination,
          protocol: options.protocol,
          waitFlowMs: Number(options.wait),
        })
        if (options.output === 'json') context.out(JSON.stringify(result))
        else {
          context.out(
            `${result.source} → ${result.destination}:${result.port} ${result.protocol}: ${result.verdict} (${result.latencyMs} ms${result.error ? `, ${result.error}` : ''})`,
          )
          if (result.flow !== null) context.out(flowLine(result.flow, context.colour))
          else context.talk('no flow record of it yet: `margay flows` shows it later')
        }
        if (result.verdict !== 'allow') context.setExit(1)
      },
    )

  for (const [name, description] of [
    ['add', 'bring up what manifests hold while the lab runs'],
    ['remove', 'take down what manifests hold'],
  ] as const) {
    lab
      .command(name)
      .description(description)
      .requiredOption('-f, --filename <path...>', 'file, folder or - for standard input')
      .action(async (options: { filename: string[] }) => {
        const documents = joinDocuments(readInput(options.filename))
        const answer = await callSocket<{ results?: string[]; notes?: string[] }>(socket, 'POST', `/${name}`, {
          text: documents.text,
          file: documents.name,
        })
        for (const line of answer.results ?? []) context.out(line)
        for (const note of answer.notes ?? []) context.talk(note)
      })
  }
}

/** The network namespace of a pod, a node or the outside world; null when the lab is simulated. */
async function netnsOf(socket: string, place: string): Promise<string | null> {
  if (place.includes('/'))
    return (await callSocket<{ netns: string | null }>(socket, 'GET', `/pods/${podPath(place)}`)).netns
  const { nodes, internet } = await callSocket<LabStatus>(socket, 'GET', '/status')
  const found = place === 'internet' ? internet : nodes.find(({ name }) => name === place)
  if (found === undefined) podPath(place)
  return found?.netns ?? null
}

function podPath(pod: string): string {
  const match = /^([a-z0-9.-]+)\/([a-z0-9.-]+)$/.exec(pod)
  if (match === null)
    throw new MargayError(
      'USAGE',
      `${JSON.stringify(pod)} is not a pod: write NAMESPACE/NAME, as \`margay lab status\` lists them`,
      { status: usageExit },
    )
  return `${match[1]}/${match[2]}`
}
