import type { TableChange } from '../../src/nftables/wire/change.ts'

/** A table as the kernel keeps it: takes transactions, and refuses what the kernel would. */
export interface KernelTable {
  readonly chains: ReadonlyMap<string, readonly string[]>
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** All or nothing; throws what is wrong. */
  commit(changes: readonly TableChange[]): void
}

/** Makes an empty table. */
export function createKernelTable(): KernelTable {
  let chains = new Map<string, string[]>()
  let sets = new Map<string, Map<string, string>>()

  function check(): void {
    for (const [name, rules] of chains)
      for (const rule of rules) {
        for (const [, chain] of rule.matchAll(/\b(?:jump|goto) ([\w-]+)/g))
          if (!chains.has(chain as string)) throw new Error(`rule "${rule}" of ${name} leads nowhere`)
        for (const [, set] of rule.matchAll(/@([\w-]+)/g))
          if (!sets.has(set as string)) throw new Error(`rule "${rule}" of ${name} asks a set that is not there`)
      }
    for (const [name, elements] of sets)
      for (const [key, verdict] of elements) {
        const [, chain] = /(?:jump|goto) ([\w-]+)/.exec(verdict) ?? []
        if (chain !== undefined && !chains.has(chain)) throw new Error(`element ${key} of ${name} leads nowhere`)
      }
  }

  function step(change: TableChange): void {
    if (change.type === 'chain') {
      if (change.op === 'add') chains.set(change.chain, chains.get(change.chain) ?? [])
      else if (!chains.has(change.chain)) throw new Error(`no chain ${change.chain}`)
      else if (change.op === 'flush') chains.set(change.chain, [])
      else if (chains.get(change.chain)?.length !== 0) throw new Error(`chain ${change.chain} is not empty`)
      else chains.delete(change.chain)
    } else if (change.type === 'rules')
      chains.set(change.chain, [...(chains.get(change.chain) ?? []), ...change.rules.map((rule) => rule.join(' '))])
    else if (change.type === 'set') {
      if (change.op === 'add') {
        if (sets.has(change.set)) throw new Error(`set ${change.set} is there`)
        sets.set(change.set, new Map())
      } else if (!sets.has(change.set)) throw new Error(`no set ${change.set}`)
      else if (change.op === 'flush') sets.set(change.set, new Map())
      else sets.delete(change.set)
    } else if (change.type === 'elements') {
      const set = new Map(sets.get(change.set))
      const entries: [string, string][] =
        change.elements instanceof Map
          ? [...change.elements]
          : [...(change.elements as readonly string[])].map((key) => [key, ''])
      for (const [key, value] of entries) {
        if ((change.op === 'add') === set.has(key)) throw new Error(`${change.op} element ${key} of ${change.set}`)
        if (change.op === 'add') set.set(key, value)
        else set.delete(key)
      }
      sets.set(change.set, set)
    }
  }

  return {
    get chains() {
      return chains
    },
    get sets() {
      return sets
    },
    commit(changes) {
      const before = [new Map(chains), new Map(sets)] as const
      try {
        for (const change of changes) step(change)
        check()
      } catch (error) {
        ;[chains, sets] = before
        throw error
      }
    },
  }
}
