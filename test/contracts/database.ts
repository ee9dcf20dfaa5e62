import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { insertSettings } from '@margay/schemas'
import { Session } from 'chdb'

/** A real ClickHouse engine with an empty database, in this process; gone after `close`. */
export interface Database {
  command(sql: string): Promise<void>
  query<T>(sql: string, params?: Readonly<Record<string, unknown>>): Promise<T[]>
  /** Inserts objects as JSON lines and fails on members that no column has. */
  insert(table: string, rows: readonly object[]): Promise<void>
  close(): void
}

/** Opens the engine in a temporary folder; a process has one such folder at a time. */
export async function openDatabase(): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'margay-contract-'))
  const session = new Session(folder)
  const run = async (sql: string, format: string) => (await session.queryAsync(sql, { format })).text()
  await run('CREATE DATABASE margay ENGINE = Atomic', 'Null')
  await run('USE margay', 'Null')
  for (const [name, value] of Object.entries(insertSettings)) await run(`SET ${name} = ${value}`, 'Null')
  await run('SET input_format_skip_unknown_fields = 0', 'Null')
  return {
    command: async (sql) => {
      await run(sql, 'Null')
    },
    query: async (sql, params = {}) => {
      for (const [name, value] of Object.entries(params)) await run(`SET param_${name} = ${literal(value)}`, 'Null')
      const text = await run(sql, 'JSONEachRow')
      return text === ''
        ? []
        : text
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line))
    },
    insert: async (table, rows) => {
      const lines = rows.map((row) => JSON.stringify(row)).join('\n')
      await run(`INSERT INTO ${table} FORMAT JSONEachRow\n${lines}`, 'Null')
    },
    close: () => {
      session.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A parameter as the HTTP interface would send it: TSV text, and inside an array a quoted literal. */
function literal(value: unknown): string {
  const text = Array.isArray(value)
    ? `[${value.map((one) => (typeof one === 'string' ? quoted(one) : String(one))).join(',')}]`
    : tsv(String(value))
  return quoted(text)
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`
}

function tsv(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t')
}
