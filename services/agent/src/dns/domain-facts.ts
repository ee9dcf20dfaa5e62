/** What an answer says about the name that was asked for. Names are canonical, lives in seconds. */
export interface DomainAnswer {
  /** The name asked for, then the target of each CNAME record in turn; `ttl` is the life of the record that leads on to the next. */
  readonly chain: readonly { readonly name: string; readonly ttl: number }[]
  /** Addresses of the last name of the chain, in their usual text. */
  readonly addresses: readonly { readonly ip: string; readonly ttl: number }[]
}

/** An element of a kernel set to add or to delete. */
export interface ElementChange {
  readonly set: string
  readonly op: 'add' | 'delete'
  readonly ip: string
}

/** A name, and an address that counts for it. */
export type NamePair = readonly [name: string, ip: string]

/** What has happened since it was last taken. */
export interface DomainChanges {
  /** In order. */
  readonly elements: readonly ElementChange[]
  readonly learned: readonly NamePair[]
  readonly forgotten: readonly NamePair[]
}

/** A name with its addresses and when each ends, as it is kept on disk. Times are those of the store's clock. */
export interface KnownName {
  readonly name: string
  readonly addresses: readonly (readonly [ip: string, until: number])[]
}

/** An address in a domain set that names outside the set's patterns gave as well: whoever may reach one may reach all. */
export interface SharedAddress {
  readonly ip: string
  readonly set: string
  readonly allowed: readonly string[]
  readonly others: readonly string[]
}
