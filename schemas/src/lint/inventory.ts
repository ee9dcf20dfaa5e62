import { type Item, itemOf } from '../policy/item.ts'
import type { Labels } from '../policy/model.ts'
import { type FlatProfile, impliedProfile, profileOf } from '../policy/profiles.ts'
import type { Expression } from '../policy/selector/expression.ts'
import { compileMatcher } from '../policy/selector/matcher.ts'
import { selectorOf } from '../policy/selector/selector.ts'
import type { PodSpec } from '../resources/kinds/endpoint.ts'
import type { Resource } from '../resources/resource.ts'
import { automaticHosts, podsOf } from './stand-ins.ts'

/** Something that selectors can select, with all the labels that they see. */
export interface Thing extends Item {
  readonly merged: Labels
  /** Ports that the containers of a pod declare, by number. */
  readonly containerPorts: readonly number[]
}

/** Labels in use, and their values. */
export type Vocabulary = ReadonlyMap<string, ReadonlySet<string>>

/** What there is to be selected: pods (also those that workloads would make), host endpoints, network sets. */
export interface Inventory {
  readonly things: readonly Thing[]
  /** Those that policy applies to. */
  readonly endpoints: readonly Thing[]
  readonly sets: readonly Thing[]
  /** True when there are pods: else nothing can be said about what a selector does not find. */
  readonly hasWorkloads: boolean
  readonly vocabulary: Vocabulary
  profile(name: string): FlatProfile | null
  /** What an expression selects among all things. */
  select(expression: Expression): readonly Thing[]
}

/** Takes stock of the resources. */
export function takeInventory(resources: readonly Resource[]): Inventory {
  const profiles = new Map<string, FlatProfile>()
  for (const resource of resources) {
    const profile = attempt(() => profileOf(resource))
    if (profile !== null) profiles.set(profile.name, profile)
  }
  const profile = (name: string) => profiles.get(name) ?? impliedProfile(name)
  const byKey = new Map<string, Thing>()
  const present = resources.filter(({ kind }) => ['Pod', 'WorkloadEndpoint', 'HostEndpoint'].includes(kind))
  const sources = [...resources, ...podsOf(resources, present), ...automaticHosts(resources, present)]
  for (const resource of sources) {
    const item = attempt(() => itemOf(scheduled(resource)))
    // A WorkloadEndpoint says more about a pod than the Pod itself.
    if (item === null || (resource.kind === 'Pod' && byKey.has(item.key))) continue
    const merged: Record<string, string> = {}
    for (const parent of [...item.profiles].reverse()) Object.assign(merged, profile(parent)?.labels)
    Object.assign(merged, item.labels)
    byKey.set(item.key, { ...item, merged, containerPorts: containerPortsOf(resource) })
  }
  const things = [...byKey.values()]
  const selections = new Map<string, readonly Thing[]>()
  const alike = groupsOf(things)
  return {
    things,
    endpoints: things.filter(({ kind }) => kind !== 'ns'),
    sets: things.filter(({ kind }) => kind === 'ns'),
    hasWorkloads: things.some(({ kind }) => kind === 'wep'),
    vocabulary: vocabularyOf(things),
    profile,
    select(expression) {
      const { canonical } = selectorOf(expression)
      let found = selections.get(canonical)
      if (found === undefined) {
        const matches = compileMatcher(expression)
        found = alike.flatMap((group) => (matches((group[0] as Thing).merged) ? group : []))
        selections.set(canonical, found)
      }
      return found
    },
  }
}

/** Faulty resources are the validator's affair: here they count as absent. */
function attempt<T>(read: () => T | null): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

/** A pod in a manifest has no node yet, and is an endpoint all the same once it runs. */
function scheduled(resource: Resource): Resource {
  if (resource.kind !== 'Pod') return resource
  const spec = (resource.spec ?? {}) as PodSpec
  return spec.nodeName ? resource : { ...resource, spec: { ...spec, nodeName: 'unknown' } }
}

function containerPortsOf({ kind, spec }: Resource): number[] {
  if (kind !== 'Pod') return []
  const { containers = [] } = (spec ?? {}) as PodSpec
  return containers.flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort))
}

/** Things with the same labels are selected together: replicas cost one look. */
function groupsOf(things: readonly Thing[]): Thing[][] {
  const groups = new Map<string, Thing[]>()
  for (const thing of things) {
    const labels = JSON.stringify(Object.entries(thing.merged).sort(([a], [b]) => (a < b ? -1 : 1)))
    const had = groups.get(labels)
    if (had === undefined) groups.set(labels, [thing])
    else had.push(thing)
  }
  return [...groups.values()]
}

function vocabularyOf(things: readonly Thing[]): Vocabulary {
  const vocabulary = new Map<string, Set<string>>()
  for (const { merged } of things) {
    for (const [label, value] of Object.entries(merged)) {
      const had = vocabulary.get(label)
      if (had === undefined) vocabulary.set(label, new Set([value]))
      else had.add(value)
    }
  }
  return vocabulary
}

/** How a thing is called in a finding: `dev/centos`, `host endpoint node1-auto-hep`, `network set external-apis`. */
export function nameOfThing({ kind, namespace, name }: Thing): string {
  const full = namespace === null ? name : `${namespace}/${name}`
  if (kind === 'hep') return `host endpoint ${name}`
  return kind === 'ns' ? `network set ${full}` : full
}

/** Names of the first few, and how many more there are. */
export function listOfThings(things: readonly Thing[], most = 3): string {
  const names = things.slice(0, most).map(nameOfThing)
  return `${names.join(', ')}${things.length > most ? ` and ${things.length - most} more` : ''}`
}
