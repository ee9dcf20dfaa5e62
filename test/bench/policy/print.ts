import type { IdleFigures } from './idle.ts'
import type { PacketFigures } from './packets.ts'
import { baselineName, type ShapeFigures } from './shapes.ts'
import type { VerdictFigures } from './verdicts.ts'

/** Lines of columns, each as wide as its widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
        )
        .join('  '),
    )
    .join('\n')
}

/** Policies x pods, and how long until the kernel enforces them. */
export function shapesTable(found: Readonly<Record<string, ShapeFigures>>): string {
  const base = found[baselineName]
  const rows = Object.entries(found).map(([name, f]) => [
    name,
    `${f.load_s} s`,
    `${f.load_cpu_s} s`,
    `${f.load_rss_mib} MiB`,
    `${f.rules}`,
    `${f.sets}`,
    `${f.change_p50_ms} ms`,
    `${f.change_p99_ms} ms`,
    `${f.policy_p50_ms} / ${f.label_p50_ms} / ${f.pod_p50_ms}`,
    base === undefined ? '-' : `${(base.change_p50_ms / f.change_p50_ms).toFixed(1)}x`,
  ])
  return table([
    ['policies x pods', 'load', 'CPU', 'memory', 'rules', 'sets', 'edit p50', 'p99', 'policy / label / pod', 'ratio'],
    ...rows,
  ])
}

/** Verdicts of the evaluator per second. */
export const verdictsLine = (f: VerdictFigures): string =>
  `evaluator: ${f.verdicts_per_s} verdicts/s of CPU, ${f.ratio}x a plain evaluator (${f.plain_per_s}/s)`

/** What packets cost. */
export function packetsTable(f: PacketFigures): string {
  const variants = Object.keys(f.established_ns) as (keyof PacketFigures['established_ns'])[]
  return `${table([
    ['CPU ns', ...variants, 'ratio'],
    ['established packet', ...variants.map((v) => `${f.established_ns[v]}`), `${f.established_ratio}x conntrack`],
    ['TCP connect + close', ...variants.map((v) => `${f.connection_ns[v]}`), `${f.connection_ratio}x none`],
  ])}`
}

/** An agent with nothing to do. */
export const idleLine = (f: IdleFigures): string =>
  `idle agent with ${f.pods} pods: ${f.cpu_percent} % CPU, ${f.rss_mib} MiB`
