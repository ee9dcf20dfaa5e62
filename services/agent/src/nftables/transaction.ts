import { type NamedSet, type Rule, type Ruleset, table } from './ruleset.ts'

/**
 * What the kernel is believed to hold. Rules or elements that are not known (just listed at the start) are null:
 * they will be flushed and written again.
 */
export interface KernelState {
  readonly chains: ReadonlyMap<string, readonly Rule[] | null>
  readonly sets: ReadonlyMap<
    string,
    { readonly kind: NamedSet['kind']; readonly elements: NamedSet['elements'] | null }
  >
}

/** A kernel without our table. */
export const emptyKernel: KernelState = { chains: new Map(), sets: new Map() }

/** The state after `ruleset` has been programmed. */
export function kernelOf(ruleset: Ruleset): KernelState {
  return { chains: new Map([...ruleset.chains].map(([name, { rules }]) => [name, rules])), sets: ruleset.sets }
}

/**
 * The nft scripts, to be run in order, that turn the kernel's state into the wanted one; empty when there is nothing to do.
 *
 * Three transactions at most: new sets, then the change itself, then what is no longer used. A set must exist before the
 * rules that use it (its lookup structure is built late in a commit: packets in between would find it empty), and nothing is ever
 * deleted that a rule still in force needs. The table is never deleted: flushing and refilling loses no packet, re-creation does.
 */
export function transactions(kernel: KernelState, wanted: Ruleset): string[] {
  const before: string[] = []
  const change: string[] = []
  const after: string[] = []

  for (const [name, set] of wanted.sets) {
    if (kernel.sets.has(name) || set.kind === 'map') continue
    before.push(`add set ${table} ${name} { ${set.spec} }`, ...elements('add', name, set.elements))
  }

  for (const [name, { hook }] of wanted.chains)
    if (!kernel.chains.has(name))
      change.push(hook === null ? `add chain ${table} ${name}` : `add chain ${table} ${name} { ${hook} }`)
  for (const [name, set] of wanted.sets)
    if (set.kind === 'map' && !kernel.sets.has(name)) change.push(`add map ${table} ${name} { ${set.spec} }`)
  for (const [name, { rules }] of wanted.chains) {
    const present = kernel.chains.get(name)
    if (present !== undefined && present !== null && sameRules(present, rules)) continue
    if (present !== undefined) change.push(`flush chain ${table} ${name}`)
    change.push(...rules.map((rule) => `add rule ${table} ${name} ${rule.join(' ')}`))
  }
  for (const [name, set] of wanted.sets) {
    if (set.kind === 'set' && !kernel.sets.has(name)) continue
    change.push(...elementChanges(name, kernel.sets.get(name)?.elements, set))
  }

  const idle = [...kernel.chains.keys()].filter((name) => !wanted.chains.has(name))
  after.push(
    ...idle.map((name) => `flush chain ${table} ${name}`),
    // The verdicts of a map hold on to the chains that they lead to.
    ...[...kernel.sets].flatMap(([name, { kind }]) =>
      kind === 'map' && !wanted.sets.has(name) ? [`flush map ${table} ${name}`] : [],
    ),
    ...idle.map((name) => `delete chain ${table} ${name}`),
  )
  for (const [name, { kind }] of kernel.sets) if (!wanted.sets.has(name)) after.push(`delete ${kind} ${table} ${name}`)

  const tableFirst = kernel.chains.size === 0 && kernel.sets.size === 0 ? [`add table ${table}`] : []
  return [before, change, after]
    .filter((lines) => lines.length > 0)
    .map((lines, index) => `${[...(index === 0 ? tableFirst : []), ...lines].join('\n')}\n`)
}

const sameRules = (a: readonly Rule[], b: readonly Rule[]) =>
  a.length === b.length && a.every((rule, index) => sameRule(rule, b[index] as Rule))

const sameRule = (a: Rule, b: Rule) => a.length === b.length && a.every((statement, index) => statement === b[index])

/** Differences of one set; everything when its content is unknown, or when it holds intervals, which are replaced as a whole. */
function elementChanges(name: string, present: NamedSet['elements'] | null | undefined, set: NamedSet): string[] {
  if (present === undefined) return elements('add', name, set.elements)
  if (present === null) return [`flush ${set.kind} ${table} ${name}`, ...elements('add', name, set.elements)]
  const gone = [...present].filter(([key, value]) => set.elements.get(key) !== value)
  const added = [...set.elements].filter(([key, value]) => present.get(key) !== value)
  if (gone.length + added.length === 0) return []
  if (set.interval) return [`flush set ${table} ${name}`, ...elements('add', name, set.elements)]
  return [
    ...elements('delete', name, new Map(gone.map(([key, value]) => [key, value]))),
    ...elements('add', name, new Map(added)),
  ]
}

/** Elements in a line: nft's parser slows down on very long ones. */
const elementsPerLine = 500

function elements(verb: 'add' | 'delete', name: string, all: NamedSet['elements']): string[] {
  const texts = [...all].map(([key, verdict]) => (verdict === '' ? key : `${key} : ${verdict}`))
  const lines: string[] = []
  for (let at = 0; at < texts.length; at += elementsPerLine)
    lines.push(`${verb} element ${table} ${name} { ${texts.slice(at, at + elementsPerLine).join(', ')} }`)
  return lines
}
