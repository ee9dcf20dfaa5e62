import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '@margay/schemas'
import { readSecret } from '../config.ts'
import { MargayError } from '../errors.ts'

/** Where ClickHouse is and how to be let in. */
export interface Target {
  readonly url: string
  readonly user: string
  readonly password: string
}

/**
 * Finds ClickHouse: the server of the configuration, or the embedded engine of this home folder, which says in
 * `<home>/run/engine.json` where it listens. Throws CLICKHOUSE_UNAVAILABLE while no engine runs.
 */
export function findClickHouse(config: Config): Target {
  const { url, user, passwordFile } = config.clickhouse
  if (url !== undefined) return { url, user, password: passwordFile === undefined ? '' : readSecret(passwordFile) }
  const file = join(config.home, 'run', 'engine.json')
  if (!existsSync(file))
    throw new MargayError(
      'CLICKHOUSE_UNAVAILABLE',
      `no embedded ClickHouse runs in ${config.home}: start the engine, or set clickhouse.url`,
      { details: {} },
    )
  return JSON.parse(readFileSync(file, 'utf8')) as Target
}
