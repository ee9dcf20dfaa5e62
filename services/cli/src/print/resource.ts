import type { Kind, Resource } from '@margay/schemas'
import { stringify } from 'yaml'
import { age, table } from './table.ts'

/** The values of `-o`. */
export type OutputFormat = 'table' | 'wide' | 'yaml' | 'json' | 'name'

type Cell = (resource: Resource) => unknown
const spec =
  (key: string): Cell =>
  (resource) =>
    (resource.spec as Record<string, unknown> | undefined)?.[key]

/** The columns between NAME and AGE, for each kind that has any. */
const columns: Readonly<Record<string, readonly (readonly [string, Cell])[]>> = {
  tiers: [
    ['ORDER', spec('order')],
    ['DEFAULT', spec('defaultAction')],
  ],
  globalnetworkpolicies: [
    ['TIER', spec('tier')],
    ['ORDER', spec('order')],
  ],
  networkpolicies: [
    ['TIER', spec('tier')],
    ['ORDER', spec('order')],
  ],
  stagedglobalnetworkpolicies: [
    ['TIER', spec('tier')],
    ['ORDER', spec('order')],
    ['ACTION', spec('stagedAction')],
  ],
  stagednetworkpolicies: [
    ['TIER', spec('tier')],
    ['ORDER', spec('order')],
    ['ACTION', spec('stagedAction')],
  ],
  globalalerts: [
    ['DATASET', spec('dataSet')],
    ['PERIOD', spec('period')],
    ['LOOKBACK', spec('lookback')],
    ['SEVERITY', spec('severity')],
  ],
  globalreports: [
    ['TYPE', spec('reportType')],
    ['SCHEDULE', spec('schedule')],
  ],
  pods: [
    ['STATUS', (r) => (r.status as Record<string, unknown> | undefined)?.phase],
    ['IP', (r) => (r.status as Record<string, unknown> | undefined)?.podIP],
    ['NODE', spec('nodeName')],
  ],
  services: [
    ['TYPE', spec('type')],
    ['CLUSTER-IP', spec('clusterIP')],
  ],
  globalnetworksets: [['NETS', (r) => ((r.spec as { nets?: string[] } | undefined)?.nets ?? []).length]],
}
/** Further columns of `-o wide`. */
const wideColumns: Readonly<Record<string, readonly (readonly [string, Cell])[]>> = {
  globalnetworkpolicies: [
    ['SELECTOR', spec('selector')],
    ['TYPES', spec('types')],
  ],
  networkpolicies: [
    ['SELECTOR', spec('selector')],
    ['TYPES', spec('types')],
  ],
}

/** Writes resources of one kind in the format that the user asked for; YAML and JSON read back into `apply`. */
export function printResources(
  kind: Kind,
  resources: readonly Resource[],
  format: OutputFormat,
  options: { readonly now: number; readonly single: boolean },
): string {
  if (format === 'json') return JSON.stringify(options.single ? resources[0] : listOf(resources), null, 2)
  if (format === 'yaml') return stringify(options.single ? resources[0] : listOf(resources)).trimEnd()
  if (format === 'name') return resources.map((r) => `${kind.plural}/${r.metadata.name}`).join('\n')
  const extra = [...(columns[kind.plural] ?? []), ...(format === 'wide' ? (wideColumns[kind.plural] ?? []) : [])]
  const namespaced = kind.namespaced
  return table(
    [...(namespaced ? ['NAMESPACE'] : []), 'NAME', ...extra.map(([heading]) => heading), 'AGE'],
    resources.map((r) => [
      ...(namespaced ? [r.metadata.namespace ?? 'default'] : []),
      r.metadata.name,
      ...extra.map(([, cell]) => show(cell(r))),
      age(r.metadata.creationTimestamp, options.now),
    ]),
  )
}

function listOf(items: readonly Resource[]) {
  return { apiVersion: 'v1', kind: 'List', items }
}

function show(value: unknown): string {
  if (value === undefined || value === null || value === '') return '<none>'
  return Array.isArray(value) ? value.join(',') : String(value)
}
