/** A rule as nft statements in their order, as in `['meta l4proto 6', 'th dport @p-45', 'drop']`; joined with blanks it is the text that nft reads. */
export type Rule = readonly string[]

/** A chain and its rules. */
export interface Chain {
  /** `type filter hook forward priority filter; policy accept;` on a base chain, null on others. */
  readonly hook: string | null
  readonly rules: readonly Rule[]
}

/** A set, or a verdict map (then each element has a verdict). */
export interface NamedSet {
  readonly kind: 'set' | 'map'
  /** As in `type ipv4_addr; flags interval;`. A name is never used with two specs. */
  readonly spec: string
  /** Elements must be taken out and put in as a whole: nft refuses some partial changes of intervals. */
  readonly interval: boolean
  /** Element -> verdict; the verdict of a plain set's element is empty. */
  readonly elements: ReadonlyMap<string, string>
  /** Names whose addresses are the elements; somebody else puts them in, so those given here are none. Null on all other sets. */
  readonly domains: readonly string[] | null
}

/** The table, of the family inet, that holds everything Margay programs. */
export const tableName = 'margay'

/** nft's name of the type of an address. */
export const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const

/** A set of a type, as in `type inet_service; flags interval;`. */
export const namedSet = (spec: string, elements: readonly string[]): NamedSet => ({
  kind: 'set',
  spec,
  interval: spec.includes('interval'),
  elements: new Map(elements.map((element) => [element, ''])),
  domains: null,
})

/** A set of single values that never change. */
export const fixedSet = (type: string, elements: readonly string[]): NamedSet => namedSet(`type ${type};`, elements)

/** A map from a key, as in `ifname`, to the chain that goes on. */
export const dispatchMap = (key: string, elements: ReadonlyMap<string, string>): NamedSet => ({
  kind: 'map',
  spec: `type ${key} : verdict;`,
  interval: false,
  elements,
  domains: null,
})
