/** Writes rows as kubectl does: columns padded with spaces, a heading in capitals, nothing drawn. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = headings.length > 0 ? [headings, ...rows] : rows
  const widths: number[] = []
  for (const row of all)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd((widths[i] ?? 0) + 3)))
        .join('')
        .trimEnd(),
    )
    .join('\n')
}

/** How long ago a moment was, in kubectl's short form: `42s`, `7m`, `3h`, `5d`. */
export function age(moment: string | undefined, now: number): string {
  if (moment === undefined) return '<unknown>'
  const seconds = Math.max(0, Math.floor((now - Date.parse(moment)) / 1000))
  if (Number.isNaN(seconds)) return '<unknown>'
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
