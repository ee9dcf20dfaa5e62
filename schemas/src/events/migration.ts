import type { EventDefinition } from './event.ts'
import { createTableSql, declarationsOf, quote } from './table.ts'

/** One numbered step of the database; steps are applied in order, once, and never changed after a release. */
export interface Migration {
  readonly version: number
  readonly name: string
  /** Each names its table without a database: the session's is meant. */
  readonly statements: readonly string[]
}

/** The columns, with their declarations, of every table that the statements make. Reads only what this file writes. */
function tablesOf(statements: readonly string[]): Map<string, Map<string, string>> {
  const tables = new Map<string, Map<string, string>>()
  for (const statement of statements) {
    const created = /^CREATE TABLE IF NOT EXISTS `(\w+)`/.exec(statement)
    if (created) {
      const lines = statement.matchAll(/^ {2}`(\w+)` (.+?),?$/gm)
      tables.set(created[1] as string, new Map([...lines].map(([, name, text]) => [name as string, text as string])))
    }
    const added = /^ALTER TABLE `(\w+)` ADD COLUMN IF NOT EXISTS `(\w+)` (.+)$/.exec(statement)
    if (added) tables.get(added[1] as string)?.set(added[2] as string, added[3] as string)
  }
  return tables
}

/**
 * Statements that bring a database made by `statements` up to the definitions: new tables and new columns. A column
 * whose declaration changed throws a RangeError, because what becomes of its stored values is for a person to decide.
 */
export function statementsTo(definitions: readonly EventDefinition[], statements: readonly string[]): string[] {
  const tables = tablesOf(statements)
  return definitions.flatMap((definition) => {
    const existing = tables.get(definition.table)
    if (!existing) return [createTableSql(definition)]
    return [...declarationsOf(definition)].flatMap(([name, declaration]) => {
      const before = existing.get(name)
      if (before === declaration) return []
      if (before !== undefined)
        throw new RangeError(
          `${definition.table}.${name} is ${before} in the migrations and ${declaration} in the definition: ` +
            'write a migration by hand, or give the new form another name',
        )
      return [`ALTER TABLE ${quote(definition.table)} ADD COLUMN IF NOT EXISTS ${quote(name)} ${declaration}`]
    })
  })
}

/** The statements of a migration file: separated by a semicolon that ends its line. */
export function statementsOf(file: string): string[] {
  return file
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.replace(/^--.*\n/gm, '').trim())
    .filter((statement) => statement !== '')
}
