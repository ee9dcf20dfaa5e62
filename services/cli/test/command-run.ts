import { loadConfig } from '@margay/kit/config'
import { Command } from 'commander'
import type { Context } from '../src/context.ts'

/** Runs a command of `margay` in this process, with no API behind it; gives what it prints for the next program, and its exit code. */
export async function runCommand(
  add: (program: Command, context: Context) => void,
  home: string,
  args: readonly string[],
): Promise<{ out: string; exit: number }> {
  let out = ''
  let exit = 0
  const refuse = () => Promise.reject(new Error('not asked'))
  const program = new Command().exitOverride()
  add(program, {
    config: loadConfig({ MARGAY_HOME: home }),
    client: { url: '', call: refuse, open: refuse },
    out: (line) => {
      out += `${line}\n`
    },
    talk: () => {},
    colour: false,
    now: () => 0,
    setExit: (code) => {
      exit = code
    },
  })
  await program.parseAsync([...args], { from: 'user' })
  return { out, exit }
}
