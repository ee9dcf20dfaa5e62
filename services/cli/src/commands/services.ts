import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { environmentOf } from '../up/plan.ts'
import { createScreen } from '../up/screen.ts'
import { up } from '../up/up.ts'

const services = {
  agent: 'enforce policy on this node and record its flows',
  engine: 'the embedded ClickHouse',
  store: 'carry events from the log to ClickHouse',
  alerts: 'evaluate alerts and send messages',
  compliance: 'take snapshots and make reports',
  api: 'serve HTTP and the console',
} as const

/** Adds `up` and a command for each service, for one process a container. */
export function addServiceCommands(program: Command, context: Context): void {
  program
    .command('up')
    .description('run everything on this machine, with a lab cluster to look at')
    .option('--lab <folder>', 'Kubernetes manifests to bring up in the lab instead of the demonstration')
    .option('--no-lab', 'without the lab')
    .option('--simulated', 'judge the traffic of the lab with the evaluator, not in the kernel')
    .option('--nodes <n>', 'nodes of the lab')
    .action(async (options: { lab?: string | boolean; simulated?: boolean; nodes?: string }) => {
      const config = structuredClone(context.config)
      if (options.lab === false) config.lab.enabled = false
      // Children read the configuration for themselves: what the command line changes goes into their environment.
      if (typeof options.lab === 'string') {
        // npm runs its scripts in the folder of package.json; INIT_CWD is where the user stood.
        config.lab.manifests = resolve(process.env.INIT_CWD ?? '.', options.lab)
        process.env.MARGAY_LAB__MANIFESTS = config.lab.manifests
      }
      if (options.simulated === true) process.env.MARGAY_LAB__MODE = 'simulated'
      if (options.nodes !== undefined) process.env.MARGAY_LAB__NODES = options.nodes
      await up(config, createScreen(context.talk), untilSignal())
    })
  const serve = (command: Command, name: string) =>
    command
      .option('--check', 'check the configuration and exit')
      .option('--print-config', 'print the configuration in force and exit')
      .action((options: ServeOptions) => runService(context, name, options))
  for (const [name, description] of Object.entries(services)) {
    // `margay alerts` lists what fired: its service is `margay alerts serve`.
    const alerts = program.commands.find((command) => command.name() === name)
    serve(
      alerts === undefined
        ? program.command(name).description(description)
        : alerts.command('serve').description(description),
      name,
    )
  }
}

interface ServeOptions {
  check?: boolean
  printConfig?: boolean
}

/** Runs one service in the foreground; its exit code is passed through. */
async function runService(context: Context, name: string, options: ServeOptions): Promise<void> {
  const entry = fileURLToPath(import.meta.resolve(`@margay/${name}/main`))
  const flags = [...(options.check ? ['--check'] : []), ...(options.printConfig ? ['--print-config'] : [])]
  const child = spawn(process.execPath, [...process.execArgv, entry, ...flags], {
    stdio: 'inherit',
    env: { ...process.env, ...environmentOf(name) },
  })
  process.on('SIGTERM', (signal) => child.kill(signal))
  process.on('SIGINT', () => {})
  context.setExit(await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1))))
}

/** Fires at the first Ctrl-C, SIGTERM or closed terminal; a third ends the process at once. */
function untilSignal(): AbortSignal {
  const controller = new AbortController()
  let asked = 0
  const ask = () => {
    asked += 1
    if (asked > 2) process.exit(130)
    controller.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask)
  return controller.signal
}
