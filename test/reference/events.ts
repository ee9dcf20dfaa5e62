import { definitions, storedColumns, topicOf } from '@margay/schemas'

/** The reference of events: every column of every kind, from the definitions. */
export function eventReference(): string {
  const sections = definitions.map((definition) => {
    const rows = Object.entries({ ...definition.columns, ...storedColumns }).map(([name, column]) => {
      const notes = [
        column.values?.map((v) => `\`${v}\``).join(', '),
        (column.aliases?.length ?? 0) > 0 ? `in queries also ${column.aliases?.map((a) => `\`${a}\``).join(', ')}` : '',
      ].filter(Boolean)
      return `| \`${name}\` | \`${column.clickhouse}\` | ${column.query} | ${column.doc}${notes.length > 0 ? ` (${notes.join('; ')})` : ''} |`
    })
    return `## ${definition.dataSet}\n\n${definition.doc}. Topic \`${topicOf(definition)}\`, table \`${definition.table}\`, kept ${definition.retentionDays} days.\n\n| Column | ClickHouse type | In queries | Meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `# Events\n\nEvery kind of event and every column. One definition each in [src/events](src/events): type, validation, table and query fields derive from it.\n\n${sections.join('\n')}`
}
