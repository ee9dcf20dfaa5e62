// The test command: gets what the tests need, runs every suite, and fails on a skip when CI=true.
// `npm test -- PATTERN` runs the files that match, without the checks before.
import { spawn } from 'node:child_process'
import { prepare } from './prerequisites.mjs'

const patterns = process.argv.slice(2)
const isCi = process.env.CI === 'true'
process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`

prepare()
if (patterns.length === 0) {
  for (const [command, ...args] of [
    ['npx', 'biome', 'check', '--diagnostic-level=error'],
    ['npx', 'tsc', '-b', 'schemas', 'services/kit', 'services/console', 'test'],
  ]) {
    const code = await run(command, args)
    if (code !== 0) end(`${[command, ...args].join(' ')} failed`, code)
  }
}
let closing = ''
const code = await run('npx', ['vitest', 'run', '--config', 'test/vitest.config.ts', ...patterns], (line) => {
  if (/^\d+ passed, \d+ failed, \d+ skipped$/.test(line)) closing = line
})
const skipped = Number(/(\d+) skipped/.exec(closing)?.[1] ?? 0)
if (code !== 0) end(closing, code)
if (isCi && skipped > 0) {
  console.log('a skipped test is a failure where CI=true')
  end(closing, 1)
}

function end(line, status) {
  console.log(line)
  process.exit(status)
}

/** Runs a command, its output passed on; gives the exit code. */
function run(command, args, onLine) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', onLine ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' },
    })
    let rest = ''
    child.stdout?.on('data', (chunk) => {
      process.stdout.write(chunk)
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    })
    child.once('exit', (status, signal) => resolve(status ?? (signal ? 1 : 0)))
  })
}
