import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { Config, type Config as ConfigType } from '@margay/schemas'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { MargayError } from './errors.ts'

export type { Config } from '@margay/schemas'

type Tree = Record<string, unknown>

/**
 * Reads the configuration: defaults, then the file, then the environment. Every error is reported at once.
 * Throws a MargayError of code CONFIG_INVALID whose message has one line for each error.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): ConfigType {
  const file = environment.MARGAY_CONFIG ?? 'margay.yaml'
  const errors: string[] = []
  let tree: Tree = {}
  if (existsSync(file)) {
    try {
      tree = (parse(readFileSync(file, 'utf8')) as Tree | null) ?? {}
    } catch (error) {
      errors.push(`${file}: ${(error as Error).message}`)
    }
  } else if (environment.MARGAY_CONFIG !== undefined) errors.push(`${file}: no such file (named by MARGAY_CONFIG)`)
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('MARGAY_') || value === undefined) continue
    const path = pathOf(name.slice('MARGAY_'.length))
    if (path !== null) assign(tree, path, value)
  }
  const config = Value.Default(Config, Value.Convert(Config, Value.Clone(tree))) as ConfigType
  for (const error of Value.Errors(Config, config)) {
    const where = error.instancePath === '' ? '/' : error.instancePath
    const unknown = (error.params as { additionalProperties?: readonly string[] }).additionalProperties
    errors.push(
      unknown
        ? unknown.map((key) => `${where === '/' ? '' : where}/${key}: unknown key`).join('\n')
        : `${where}: ${error.message}`,
    )
  }
  if (errors.length > 0) {
    throw new MargayError(
      'CONFIG_INVALID',
      `the configuration is not valid:\n${[...new Set(errors)].map((e) => `  ${e}`).join('\n')}`,
    )
  }
  return { ...config, home: resolve(config.home.replace(/^~(?=\/|$)/, homedir())) }
}

/** The path in the configuration that an environment variable sets: `API__REQUEST_TIMEOUT` -> api.requestTimeout; null if it is no setting. */
function pathOf(name: string): string[] | null {
  if (name === 'HOME' || name === 'CLUSTER') return [name.toLowerCase()]
  if (!name.includes('__')) return null
  return name
    .split('__')
    .map((part) => part.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
}

function assign(tree: Tree, path: readonly string[], text: string): void {
  let node = tree
  for (const part of path.slice(0, -1)) {
    if (typeof node[part] !== 'object' || node[part] === null) node[part] = {}
    node = node[part] as Tree
  }
  node[path.at(-1) as string] = /^[[{]/.test(text) ? parse(text) : text
}

/** The text of a secret's file, without the closing newline. Throws CONFIG_INVALID when it cannot be read. */
export function readSecret(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (cause) {
    throw new MargayError('CONFIG_INVALID', `cannot read the secret file ${path}: ${(cause as Error).message}`, {
      cause,
    })
  }
}
