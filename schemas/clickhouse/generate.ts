/**
 * Writes the next migration when the definitions have tables or columns that no migration makes, and
 * `src/events/migrations.gen.ts`, the migrations as a module. Run: npx tsx schemas/clickhouse/generate.ts [name]
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { definitions } from '../src/events/definitions.ts'
import { type Migration, statementsOf, statementsTo } from '../src/events/migration.ts'

const folder = new URL('.', import.meta.url)
const migrations = readdirSync(folder)
  .filter((file) => file.endsWith('.sql'))
  .sort()
  .map((file): Migration => {
    const [, version, name] = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file) ?? []
    if (version === undefined || name === undefined) throw new Error(`${file}: migrations are named 0001-name.sql`)
    return { version: Number(version), name, statements: statementsOf(readFileSync(new URL(file, folder), 'utf8')) }
  })
const statements = statementsTo(
  definitions,
  migrations.flatMap((migration) => migration.statements),
)
if (statements.length > 0) {
  const version = migrations.length + 1
  const name = process.argv[2] ?? 'events'
  migrations.push({ version, name, statements })
  const file = `${String(version).padStart(4, '0')}-${name}.sql`
  writeFileSync(new URL(file, folder), statements.map((statement) => `${statement};\n`).join('\n'))
  console.log(`wrote ${file}`)
}
writeFileSync(
  new URL('../src/events/migrations.gen.ts', folder),
  `// Generated from schemas/clickhouse/*.sql by schemas/clickhouse/generate.ts; do not edit.
import type { Migration } from './migration.ts'

/** Every migration of the database, in order. */
export const migrations: readonly Migration[] = ${JSON.stringify(migrations, null, 2)}
`,
)
