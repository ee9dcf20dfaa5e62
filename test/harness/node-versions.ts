import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './product.ts'

/** The majors that Margay must run on beside the installed one. */
export const otherMajors = [24, 26] as const

/** Path of a Node of that major, fetched as an ordinary npm package into the cache folder. */
export async function nodeOf(major: number): Promise<string> {
  const cache = process.env.MARGAY_CACHE ?? join(homedir(), '.cache', 'margay')
  const folder = join(cache, `node-${major}`)
  const node = join(folder, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
  if (existsSync(node)) return node
  mkdirSync(folder, { recursive: true })
  const { code, stderr } = await runCommand('npm', [
    'install',
    '--prefix',
    folder,
    '--no-save',
    '--no-fund',
    '--no-audit',
    `node-linux-${process.arch}@${major}`,
  ])
  if (code !== 0 || !existsSync(node)) throw new Error(`Node ${major} did not install: ${stderr}`)
  return node
}
