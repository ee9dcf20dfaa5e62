import { loadConfig } from '@margay/kit/config'
import { MargayError, messageOf } from '@margay/kit/errors'
import { kinds, version } from '@margay/schemas'
import { Command } from 'commander'
import { createClient } from './client.ts'
import { addAlertCommands } from './commands/alerts.ts'
import { addEvalCommands } from './commands/eval.ts'
import { addEventCommands } from './commands/events.ts'
import { addLabCommands } from './commands/lab.ts'
import { addLintCommands } from './commands/lint.ts'
import { addPolicyCommands } from './commands/policy.ts'
import { addReportCommands } from './commands/reports.ts'
import { addResourceCommands } from './commands/resources.ts'
import { addServiceCommands } from './commands/services.ts'
import { addWhyCommand } from './commands/why.ts'
import type { Context } from './context.ts'
import { table } from './print/table.ts'

/** Wrong use, as sysexits.h has it; 1 is left for "no" (denied, different). */
const usageExit = 64
const configExit = 78
const usageCodes = new Set([
  'USAGE',
  'FILE_UNREADABLE',
  'CONNECTIVITY_INVALID',
  'KIND_UNKNOWN',
  'LAB_SIMULATED',
  'LAB_UNREACHABLE',
  'API_UNREACHABLE',
])

/** Runs one command line; the process exits with its code. */
async function main(): Promise<void> {
  try {
    const config = loadConfig()
    const context: Context = {
      config,
      client: createClient(config, process.env),
      out: (text) => process.stdout.write(`${text}\n`),
      talk: (text) => process.stderr.write(`${text}\n`),
      colour: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
      now: Date.now,
      setExit: (code) => {
        process.exitCode = code
      },
    }
    const program = new Command('margay')
      .description('Kubernetes network security and observability')
      .version(version)
      .enablePositionalOptions()
    program.exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : usageExit)
    })
    addResourceCommands(program, context)
    addEventCommands(program, context)
    addAlertCommands(program, context)
    addPolicyCommands(program, context)
    addReportCommands(program, context)
    addEvalCommands(program)
    addLabCommands(program, context)
    addLintCommands(program, context)
    addServiceCommands(program, context)
    addWhyCommand(program, context)
    program
      .command('kinds')
      .description('list the resource kinds')
      .action(() =>
        context.out(
          table(
            ['NAME', 'SHORTNAMES', 'APIVERSION', 'NAMESPACED', 'KIND'],
            kinds.map((k) => [k.plural, k.shortNames.join(','), k.apiVersions[0] ?? '', String(k.namespaced), k.kind]),
          ),
        ),
      )
    await program.parseAsync()
  } catch (error) {
    process.stderr.write(`margay: ${messageOf(error)}\n`)
    const code = error instanceof MargayError ? error.code : ''
    process.exitCode =
      code === 'CONFIG_INVALID'
        ? configExit
        : usageCodes.has(code) || (error instanceof MargayError && error.status === usageExit)
          ? usageExit
          : 65
  }
}

// A closed pipe (`margay flows | head`) is the reader's way to say enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
await main()
