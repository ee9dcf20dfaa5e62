/**
 * SQL text with its bound parameters written out, so that a person can run it elsewhere. For showing only: what is
 * executed has its parameters bound by the server.
 */
export function inlineParams(sql: string, params: Readonly<Record<string, unknown>>): string {
  return sql.replace(/\{(\w+):((?:[^{}'"]|'[^']*')+)\}/g, (whole, name: string, type: string) =>
    name in params ? literal(params[name], type) : whole,
  )
}

function literal(value: unknown, type: string): string {
  if (value === null || value === undefined) return 'NULL'
  if (Array.isArray(value)) {
    const inner = /^Array\((.*)\)$/s.exec(type)?.[1] ?? 'String'
    return `[${value.map((item) => literal(item, inner)).join(', ')}]`
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  const quoted = `'${String(value).replace(/[\\']/g, (character) => `\\${character}`)}'`
  return /^(String|LowCardinality\(String\)|Nullable\(String\))$/.test(type)
    ? quoted
    : `CAST(${quoted}, '${type.replace(/'/g, "\\'")}')`
}
