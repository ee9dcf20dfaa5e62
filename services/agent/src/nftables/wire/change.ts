import type { Rule } from '../ruleset.ts'

/**
 * One step of a transaction on a table, as data. Both writers take it: netlink encodes it, the command prints it.
 * Steps are done in their order, all or none. Rules may name chains and sets that an earlier step of the transaction adds;
 * adding a table, chain, set or map that exists with the same spec is no error; flushing or deleting one that is absent is.
 */
export type TableChange = (
  | { readonly type: 'table'; readonly op: 'add' | 'delete' }
  /** `hook` as in `type filter hook forward priority filter; policy accept;`, null on a chain that rules jump to. */
  | { readonly type: 'chain'; readonly op: 'add'; readonly chain: string; readonly hook: string | null }
  /** Flushing takes a chain's rules away. Deleting wants it empty, and no rule or element that leads to it. */
  | { readonly type: 'chain'; readonly op: 'flush' | 'delete'; readonly chain: string }
  /** Rules put at the end of a chain, in order. */
  | { readonly type: 'rules'; readonly chain: string; readonly rules: readonly Rule[] }
  /** `spec` as in `type ipv4_addr . inet_proto . inet_service; flags interval;`, or `type ifname : verdict;` of a map. */
  | {
      readonly type: 'set'
      readonly op: 'add'
      readonly kind: SetKind
      readonly set: string
      readonly spec: string
    }
  /** Flushing takes its elements away. Deleting wants that no rule uses it. */
  | { readonly type: 'set'; readonly op: 'flush' | 'delete'; readonly kind: SetKind; readonly set: string }
  | {
      readonly type: 'elements'
      readonly op: 'add' | 'delete'
      readonly kind: SetKind
      readonly set: string
      /** Of the set: it tells how elements are written. */
      readonly spec: string
      readonly elements: Elements
    }
) & {
  /** Whom to name when the kernel refuses it: the id of a policy, or the key of an endpoint. */
  readonly cause?: string
}

/** A set holds keys; a map leads from keys to verdicts. */
export type SetKind = 'set' | 'map'

/** Keys of a set (`10.0.0.1`, `10.0.0.1 . 6 . 80`, `80-90`, `"cali1"`), or keys of a map with their verdicts (`goto CHAIN`). An empty verdict is none. */
export type Elements = readonly string[] | ReadonlyMap<string, string>
