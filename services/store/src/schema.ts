import type { ClickHouse } from '@margay/kit/clickhouse'
import type { Component } from '@margay/kit/component'
import { MargayError } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { Migration } from '@margay/schemas'

const table = `CREATE TABLE IF NOT EXISTS schema_migrations (
  version UInt32,
  name String,
  applied_time DateTime64(3, 'UTC')
) ENGINE = MergeTree ORDER BY version`

/**
 * Brings the database up to date: applies every migration that it does not have, in order. Each can be applied twice, so one
 * that was cut off is applied again. Throws STORE_SCHEMA_NEWER when the database knows a migration that this version does not.
 */
export function createSchema(
  migrations: readonly Migration[],
  deps: { readonly clickhouse: ClickHouse; readonly reporter: Reporter; readonly now?: () => number },
): Component {
  const { clickhouse, reporter, now = Date.now } = deps
  return {
    name: 'schema',
    async start() {
      await clickhouse.command(table)
      const rows = await clickhouse.query<{ version: number }>('SELECT DISTINCT version FROM schema_migrations')
      const applied = new Set(rows.map((row) => row.version))
      const newest = Math.max(0, ...applied)
      const known = Math.max(0, ...migrations.map((migration) => migration.version))
      if (newest > known)
        throw new MargayError(
          'STORE_SCHEMA_NEWER',
          `the database has schema ${newest}, this version knows up to ${known}: run the version that made it, or a newer one`,
        )
      for (const { version, name, statements } of [...migrations].sort((a, b) => a.version - b.version)) {
        if (applied.has(version)) continue
        for (const statement of statements) await clickhouse.command(statement)
        await clickhouse.insert({
          table: 'schema_migrations',
          format: 'JSONEachRow',
          body: Buffer.from(JSON.stringify({ version, name, applied_time: now() })),
        })
        reporter.log.info({ version, name }, 'migration applied')
      }
    },
  }
}
