import { runIn } from '../node/command.ts'
import type { NamedSet } from './ruleset.ts'
import { emptyKernel, type KernelState } from './transaction.ts'

/** The nft command in one network namespace. */
export interface Nft {
  /** Runs one script as one transaction: all of it or nothing. */
  run(script: string): Promise<void>
  /** Names of the chains, sets and maps in our table; their contents are not read (listing rules is slow). */
  list(): Promise<KernelState>
}

interface Listed {
  readonly nftables: readonly Readonly<
    Record<string, { readonly table?: string; readonly name?: string } | undefined>
  >[]
}

/** Makes the client of nft in a network namespace; null is this process's own. */
export function createNft(netns: string | null): Nft {
  const nft = (args: readonly string[], input?: string) =>
    runIn(netns, ['nft', ...args], { code: 'NFT_FAILED', ...(input === undefined ? {} : { input }) })

  async function names(kind: 'chain' | NamedSet['kind']): Promise<string[]> {
    const listed = JSON.parse(await nft(['-j', '-t', 'list', `${kind}s`, 'inet'])) as Listed
    return listed.nftables
      .map((item) => item[kind])
      .filter((item) => item?.table === 'margay')
      .map((item) => item?.name as string)
  }

  return {
    async run(script) {
      await nft(['-f', '-'], script)
    },
    async list() {
      const chains = await names('chain')
      const sets = await names('set')
      const maps = await names('map')
      if (chains.length + sets.length + maps.length === 0) return emptyKernel
      const unknown = (kind: NamedSet['kind']) => ({ kind, elements: null })
      return {
        chains: new Map(chains.map((name) => [name, null])),
        sets: new Map([
          ...sets.map((name) => [name, unknown('set')] as const),
          ...maps.map((name) => [name, unknown('map')] as const),
        ]),
      }
    },
  }
}
