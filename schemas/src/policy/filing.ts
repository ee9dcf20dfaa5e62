import { namespacePrefix, serviceAccountPrefix } from './flat-selector.ts'
import type { Labels } from './model.ts'
import type { Expression } from './selector/expression.ts'
import { type Restriction, restrictionsOf } from './selector/restrictions.ts'

/** Where a selector is filed: under values of one label, under any value of it (null), or under no label. */
export interface Filing {
  readonly label: string | null
  readonly values: readonly string[] | null
}

/**
 * Files selectors and items by label, so that each finds the few of the other side that it may have to do with. A selector lies in the file
 * of the label that narrows most; items lie in the files of all labels that a selector was ever filed under.
 */
export interface Files<S, I> {
  /** Files a selector; `all` are all items there are. Gives those that it may select. */
  add(selector: S, filing: Filing, all: Iterable<I>): Iterable<I>
  remove(selector: S, filing: Filing): void
  /** Files an item that was not there. */
  put(item: I): void
  /** Files an item anew, some of whose labels were others before. */
  move(item: I, before: Labels, changed: readonly string[]): void
  drop(item: I): void
  /** The selectors that may select something with these labels. */
  asking(labels: Labels): Iterable<S>
}

interface ValueFile<S, I> {
  readonly selectors: Set<S>
  readonly items: Set<I>
}

interface LabelFile<S, I> {
  /** Selectors for which any value will do. */
  readonly selectors: Set<S>
  readonly values: Map<string, ValueFile<S, I>>
}

/** Makes empty files. */
export function createFiles<S, I extends { readonly labels: Labels }>(): Files<S, I> {
  const labels = new Map<string, LabelFile<S, I>>()
  const unfiled = new Set<S>()

  function valueFile({ values }: LabelFile<S, I>, value: string): ValueFile<S, I> {
    let file = values.get(value)
    if (file === undefined) {
      file = { selectors: new Set(), items: new Set() }
      values.set(value, file)
    }
    return file
  }

  function tidy({ values }: LabelFile<S, I>, value: string): void {
    const file = values.get(value)
    if (file?.selectors.size === 0 && file.items.size === 0) values.delete(value)
  }

  function labelFile(label: string, all: Iterable<I>): LabelFile<S, I> {
    let file = labels.get(label)
    if (file === undefined) {
      file = { selectors: new Set(), values: new Map() }
      labels.set(label, file)
      for (const item of all) lay(item, label, file)
    }
    return file
  }

  function lay(item: I, label: string, file: LabelFile<S, I>): void {
    if (Object.hasOwn(item.labels, label)) valueFile(file, item.labels[label] as string).items.add(item)
  }

  function lift(item: I, from: Labels, label: string): void {
    const file = labels.get(label)
    if (file === undefined || !Object.hasOwn(from, label)) return
    const value = from[label] as string
    file.values.get(value)?.items.delete(item)
    tidy(file, value)
  }

  return {
    add(selector, { label, values }, all) {
      if (label === null) {
        unfiled.add(selector)
        return all
      }
      const file = labelFile(label, all)
      if (values === null) {
        file.selectors.add(selector)
        return [...file.values.values()].flatMap(({ items }) => [...items])
      }
      for (const value of values) valueFile(file, value).selectors.add(selector)
      return values.flatMap((value) => [...valueFile(file, value).items])
    },
    remove(selector, { label, values }) {
      if (label === null) {
        unfiled.delete(selector)
        return
      }
      const file = labels.get(label)
      if (file === undefined) return
      file.selectors.delete(selector)
      for (const value of values ?? []) {
        file.values.get(value)?.selectors.delete(selector)
        tidy(file, value)
      }
    },
    put(item) {
      for (const label of Object.keys(item.labels)) {
        const file = labels.get(label)
        if (file !== undefined) lay(item, label, file)
      }
    },
    move(item, before, changed) {
      for (const label of changed) {
        lift(item, before, label)
        const file = labels.get(label)
        if (file !== undefined) lay(item, label, file)
      }
    },
    drop(item) {
      for (const label of Object.keys(item.labels)) lift(item, item.labels, label)
    },
    *asking(given) {
      yield* unfiled
      for (const label of Object.keys(given)) {
        const file = labels.get(label)
        if (file === undefined) continue
        yield* file.selectors
        yield* file.values.get(given[label] as string)?.selectors ?? []
      }
    },
  }
}

/** Labels that all endpoints of a namespace or an account share narrow little. */
const isShared = (label: string) =>
  label.startsWith('projectcalico.org/') || label.startsWith(namespacePrefix) || label.startsWith(serviceAccountPrefix)

/** The file that suits a selector: that of the label it demands with the fewest values, a shared one only if there is no other. */
export function filingOf(expression: Expression): Filing {
  let best: Filing = { label: null, values: null }
  let least = Number.POSITIVE_INFINITY
  for (const [label, restriction] of restrictionsOf(expression)) {
    const cost = costOf(label, restriction)
    if (cost >= least) continue
    least = cost
    best = { label, values: restriction.values === undefined ? null : [...restriction.values] }
  }
  return best
}

function costOf(label: string, { presence, values }: Restriction): number {
  if (values === undefined && presence !== 'present') return Number.POSITIVE_INFINITY
  const shared = isShared(label) ? 1e6 : 0
  return values === undefined ? shared + 1e9 : shared + values.size
}
