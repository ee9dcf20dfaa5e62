import { MargayError } from '@margay/kit/errors'
import type { PolicyModel } from '@margay/schemas'
import type { Capabilities, Dataplane, NodePolicy } from '../dataplane/dataplane.ts'
import type { DomainSet, DomainSets } from '../dns/domain-sets.ts'
import { createHitMemory } from './hit-memory.ts'
import { presentOf, readBackOf } from './read-back.ts'
import { createRenderer } from './renderer.ts'
import { createRepair } from './repair.ts'
import { type Changed, createTablePlan } from './table-plan.ts'
import { isSame, note, nothingPresent, type Present, transactions } from './transaction.ts'
import type { TableChange } from './wire/change.ts'
import type { TableWriter } from './wire/table-writer.ts'

/** What the nftables data plane works with. */
export interface NftablesDeps {
  readonly model: PolicyModel
  readonly writer: Pick<TableWriter, 'commit' | 'list' | 'close' | 'form'>
  /** Number of the kernel's present rule set, as if only this data plane and strangers changed it. */
  readonly generation: () => number
  readonly domains: DomainSets
  readonly now: () => number
}

/**
 * Enforces policy with nftables. Keeps a plan of the table and sends only what has changed in it. Whenever what the kernel holds may be
 * something else (at the start, after an error) it lists the table and writes all of it again, without a gap.
 */
export function createNftablesDataplane(deps: NftablesDeps): Dataplane {
  const { model, writer, domains, now } = deps
  const hits = createHitMemory(now)
  const plan = createTablePlan(hits)
  const renderer = createRenderer(model, plan)
  const repair = createRepair({ generation: deps.generation, now })
  /** What the kernel holds by name; null when that is to be asked. */
  let present: Present | null = null
  /** Whether what it holds is what was written. */
  let isTrusted = false
  let filled = ''

  async function commit(changes: readonly TableChange[], to: Present): Promise<void> {
    if (changes.length === 0) return
    await writer.commit(changes)
    note(to, changes)
  }

  /** Addresses of domain names are in the kernel before rules ask for them. */
  async function fillDomains(isAll: boolean): Promise<void> {
    const sets = domainSets()
    const names = sets.map(({ name }) => name).join(' ')
    if (names === filled && !isAll) return
    await domains.fill(sets)
    filled = names
  }

  function domainSets(): DomainSet[] {
    const found: DomainSet[] = []
    for (const [name, { set }] of plan.sets)
      if (set.domains !== null) found.push({ name, family: name.startsWith('d4') ? 4 : 6, patterns: set.domains })
    return found
  }

  async function write(changed: Changed, isAll: boolean): Promise<boolean> {
    present ??= presentOf(await writer.list())
    const { before, build, change, after } = transactions(present, plan, isAll ? everything(present) : changed)
    const all = [before, build, change, after]
    await commit(before, present)
    if (before.length > 0 || isAll) await fillDomains(isAll)
    for (const changes of [build, change, after]) await commit(changes, present)
    if (after.length > 0) await fillDomains(false)
    return all.some((changes) => changes.length > 0)
  }

  function everything(kernel: Present): Changed {
    return {
      chains: new Map([...plan.chains.keys(), ...kernel.chains.keys()].map((name) => [name, null])),
      sets: new Map([...plan.sets.keys(), ...kernel.sets.keys()].map((name) => [name, 'all'])),
    }
  }

  /** Writes until the kernel takes it: what a policy is to blame for goes back to its last good form. */
  async function writeAll(): Promise<boolean> {
    for (;;) {
      try {
        const isAll = !isTrusted
        const isChanged = await write(repair.with(plan), isAll)
        plan.written()
        renderer.written()
        isTrusted = true
        repair.written(isAll)
        return isChanged
      } catch (error) {
        if (error instanceof MargayError && error.code === 'NFT_REFUSED' && (await isSettled(error))) continue
        present = null
        isTrusted = false
        throw error
      }
    }
  }

  /** Finds out whose fault a refusal is: true when it is put right, and writing may go on. */
  async function isSettled(refusal: MargayError): Promise<boolean> {
    const { cause } = refusal.details
    if (isTrusted && present !== null && !isSame(present, presentOf(await writer.list()))) {
      // Somebody took away what the transaction builds on.
      present = null
      isTrusted = false
      return true
    }
    return typeof cause === 'string' && renderer.refuse(cause, refusal.message)
  }

  const on = { on: true }
  return {
    name: 'nftables',
    get capabilities(): Capabilities {
      return {
        enforces: on,
        ipv6: on,
        domains: on,
        reject: on,
        netlink: writer.form === 'netlink' ? on : { on: false, reason: 'the nft command is used' },
        counters: {
          on: false,
          reason:
            'a counter on each rule would cost every packet, and begin anew with each edit; flows count what rules decide',
        },
      }
    },
    async program(policy: NodePolicy) {
      renderer.update(policy)
      if (isTrusted && repair.isSuspected) await look()
      const changed = await writeAll()
      return {
        policies: renderer.policies,
        domainSets: domainSets().length,
        refused: renderer.refused,
        changed,
        size: { chains: plan.chains.size, sets: plan.sets.size, ...plan.size },
      }
    },
    drifted: () => isTrusted && repair.isDue(),
    async readBack() {
      return readBackOf(await writer.list(), plan)
    },
    counters: () => [],
    async remove() {
      await writer.commit([
        { type: 'table', op: 'add' },
        { type: 'table', op: 'delete' },
      ])
      present = nothingPresent()
      isTrusted = false
    },
    hit: hits.get,
    close() {
      writer.close()
    },
  }

  /** After somebody else's change: what is missing by name is written again at once, everything else by and by. */
  async function look(): Promise<void> {
    const listing = await writer.list()
    const { missing, unknown } = readBackOf(listing, plan)
    if (missing.length + unknown.length > 0) {
      present = null
      isTrusted = false
    }
    repair.looked([...plan.chains.keys()], [...plan.sets.keys()])
  }
}
