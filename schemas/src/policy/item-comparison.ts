import type { Item } from './item.ts'
import type { Endpoint, Labels } from './model.ts'

/** True when two items are the same in all that the model tells of them. */
export function sameItem(a: Item, b: Item): boolean {
  return (
    a === b ||
    (a.key === b.key &&
      sameTexts(a.nets, b.nets) &&
      sameTexts(a.domains, b.domains) &&
      sameTexts(a.profiles, b.profiles) &&
      sameLabels(a.labels, b.labels) &&
      sameLabels(a.ownLabels, b.ownLabels) &&
      a.part === b.part &&
      sameEndpoint(a.endpoint, b.endpoint))
  )
}

function sameEndpoint(a: Item['endpoint'], b: Item['endpoint']): boolean {
  if (a === null || b === null) return a === b
  return (
    a.nameAggr === b.nameAggr && a.node === b.node && a.interfaceName === b.interfaceName && samePorts(a.ports, b.ports)
  )
}

/** True when two lists hold the same ports in the same order. */
export function samePorts(a: Endpoint['ports'], b: Endpoint['ports']): boolean {
  if (a === b) return true
  return (
    a.length === b.length &&
    a.every(({ name, protocol, port }, at) => {
      const other = b[at]
      return other?.name === name && other.protocol === protocol && other.port === port
    })
  )
}

/** True when two lists hold the same texts in the same order. */
export function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, at) => text === b[at]))
}

/** True when two have the same labels with the same values. */
export function sameLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
}
