import { spawnSync } from 'node:child_process'

/** Runs a command that must succeed; gives its standard output. */
export function must(command: readonly string[], input = ''): string {
  const [file, ...args] = command as [string, ...string[]]
  const { status, stdout, stderr, error } = spawnSync(file, args, { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

/** A network namespace for one measurement, with a way to remove it. */
export interface BenchNetns {
  readonly name: string
  /** Runs `ip` commands in it, one in a line. */
  ip(lines: readonly string[]): void
  remove(): void
}

let made = 0

/** Makes a namespace that nobody else uses. */
export function createNetns(): BenchNetns {
  made += 1
  const name = `mb${process.pid.toString(36)}-${made}`
  must(['ip', 'netns', 'add', name])
  const ip = (lines: readonly string[]) => void must(['ip', '-n', name, '-batch', '-'], `${lines.join('\n')}\n`)
  ip(['link set lo up'])
  return { name, ip, remove: () => void spawnSync('ip', ['netns', 'del', name]) }
}
