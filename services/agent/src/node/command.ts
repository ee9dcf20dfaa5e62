import { spawn } from 'node:child_process'
import { MargayError } from '@margay/kit/errors'

/** Longest run of one command, milliseconds. */
const timeout = 30_000

/**
 * Runs a command inside a network namespace (null: the process's own) and gives its standard output.
 * Throws a MargayError of the given code with what the command wrote to standard error.
 */
export function runIn(
  netns: string | null,
  command: readonly [string, ...string[]],
  options: { readonly input?: string; readonly code?: string } = {},
): Promise<string> {
  const [file, ...args] = netns === null ? command : (['ip', 'netns', 'exec', netns, ...command] as const)
  const code = options.code ?? 'AGENT_COMMAND_FAILED'
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', (cause) => {
      reject(new MargayError(code, `cannot run ${command.join(' ')}: ${cause.message}; is it installed?`, { cause }))
    })
    child.on('close', (status, signal) => {
      if (status === 0) return resolve(Buffer.concat(out).toString())
      const said = Buffer.concat(err).toString().trim().slice(0, 2000)
      reject(
        new MargayError(
          code,
          `${command.join(' ')} ${signal ? `was ended by ${signal}` : `failed (${status})`}: ${said}`,
        ),
      )
    })
    // A command that dies early closes its input; its exit status tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}
