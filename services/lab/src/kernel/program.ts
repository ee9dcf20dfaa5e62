import { spawn } from 'node:child_process'
import { MargayError } from '@margay/kit/errors'

/** Longest time for one program; far beyond what any takes, so that a stuck one is told and not waited for. */
const limitMs = 20_000

/**
 * Runs a program to its end with text on its standard input and returns its output.
 * Rejects with LAB_COMMAND_FAILED that holds what the program said.
 */
function runProgram(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) =>
      reject(new MargayError('LAB_COMMAND_FAILED', `${[file, ...args].join(' ')} failed: ${what}`))
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: limitMs })
    let output = ''
    let complaint = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text
    })
    child.stdin.on('error', () => {}) // the program ended before it read everything: its exit code tells
    child.on('error', (error) => fail(error.message))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output)
      else fail(complaint.trim().slice(0, 500) || `ended by ${signal ?? `code ${code}`}`)
    })
    child.stdin.end(input)
  })
}

/** Runs `ip -batch` in a network namespace (the process's own when null). Rejects with LAB_COMMAND_FAILED. */
export async function ipBatch(netns: string | null, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const where = netns === null ? [] : ['-n', netns]
  await runProgram('ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`)
}

/** Loads nftables rules in a network namespace, all or none. Rejects with LAB_COMMAND_FAILED. */
export async function loadRules(netns: string, rules: string): Promise<void> {
  await runProgram('ip', ['netns', 'exec', netns, 'nft', '-f', '-'], rules)
}

/** Runs an action on each item, at most `width` at a time. */
export async function eachOf<T>(items: readonly T[], width: number, action: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await action(item)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
}
