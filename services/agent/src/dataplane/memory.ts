import { sha256 } from '@margay/kit/identity'
import { type Evaluation, evaluate, type Packet, type Policy, type PolicyModel } from '@margay/schemas'
import { createHitMemory } from '../nftables/hit-memory.ts'
import { createRenderer } from '../nftables/renderer.ts'
import { createTablePlan, type TablePlan } from '../nftables/table-plan.ts'
import type { Capability, Dataplane, NodePolicy, PolicyCounter } from './dataplane.ts'

/** A data plane in memory, and what can be asked of it. */
export interface MemoryDataplane extends Dataplane {
  readonly programmed: NodePolicy | null
  /** What would be in the kernel. */
  readonly plan: Pick<TablePlan, 'chains' | 'sets'>
  /** Judges a packet by the policy of the model, refused ones left out, and counts it; everything passes before the first programming. */
  judge(packet: Packet): Evaluation
}

const off = (reason: string): Capability => ({ on: false, reason })

/**
 * A data plane that touches no kernel: for tests, simulation, and machines that have none. `refuses` stands for a kernel that does not
 * take a policy: it gives the reason.
 */
export function createMemoryDataplane(
  model: PolicyModel,
  { refuses = () => null }: { readonly refuses?: (policy: string) => string | null } = {},
): MemoryDataplane {
  const hits = createHitMemory(() => 0)
  const plan = createTablePlan(hits)
  const renderer = createRenderer(model, plan)
  /** Policies as they were when they were last taken. */
  const good = new Map<string, Policy>()
  const counted = new Map<string, { allowed: number; denied: number }>()
  let programmed: NodePolicy | null = null
  const enforced: PolicyModel = Object.assign(Object.create(model) as PolicyModel, {
    governing: ((endpoint, direction, stage) => {
      const tiers = model.governing(endpoint, direction, stage)
      if (renderer.refused.size === 0) return tiers
      return tiers.map(({ tier, policies }) => ({
        tier,
        policies: policies.flatMap((policy) => {
          const known = renderer.refused.has(policy.id) ? good.get(policy.id) : policy
          return known === undefined ? [] : [known]
        }),
      }))
    }) satisfies PolicyModel['governing'],
  })

  function count({ egress, ingress }: Evaluation): void {
    for (const judgement of [egress, ingress]) {
      const last = judgement?.trace.at(-1)
      if (judgement == null || last === undefined) continue
      const { kind, namespace, name } = last.ref
      const key = `${kind}:${namespace === null ? '' : `${namespace}/`}${name}`
      const counter = counted.get(key) ?? { allowed: 0, denied: 0 }
      counter[judgement.verdict === 'allow' ? 'allowed' : 'denied'] += 1
      counted.set(key, counter)
    }
  }

  return {
    name: 'memory',
    capabilities: {
      enforces: off('nothing is put into a kernel'),
      ipv6: { on: true },
      domains: { on: true },
      reject: off('nothing is put into a kernel'),
      netlink: off('nothing is put into a kernel'),
      counters: { on: true },
    },
    plan,
    get programmed() {
      return programmed
    },
    async program(policy) {
      const isFirst = programmed === null
      renderer.update(policy)
      for (const id of new Set([...plan.changed.chains.keys()].map((name) => plan.chains.get(name)?.cause ?? null))) {
        const reason = id === null ? null : refuses(id)
        if (id !== null && reason !== null) renderer.refuse(id, reason)
      }
      const changed = isFirst || plan.changed.chains.size + plan.changed.sets.size > 0
      for (const { policies } of model.tiers())
        for (const one of policies) if (!renderer.refused.has(one.id)) good.set(one.id, one)
      plan.written()
      renderer.written()
      programmed = policy
      return {
        policies: renderer.policies,
        domainSets: [...plan.sets.values()].filter(({ set }) => set.domains !== null).length,
        refused: renderer.refused,
        changed,
        size: { chains: plan.chains.size, sets: plan.sets.size, ...plan.size },
      }
    },
    judge(packet) {
      if (programmed === null) return evaluate(emptied(model), packet)
      const evaluation = evaluate(enforced, packet)
      count(evaluation)
      return evaluation
    },
    drifted: () => false,
    async readBack() {
      const isThere = programmed !== null
      const names = isThere ? [...plan.chains.keys(), ...plan.sets.keys()].sort() : []
      return {
        chains: isThere ? plan.chains.size : 0,
        sets: isThere ? plan.sets.size : 0,
        digest: sha256(names.join('\n')),
        missing: [],
        unknown: [],
      }
    },
    counters: () => [...counted].map(([policy, counter]): PolicyCounter => ({ policy, ...counter })),
    async remove() {
      programmed = null
    },
    hit: hits.get,
    close() {},
  }
}

/** A model without endpoints: nothing is judged. */
const emptied = (model: PolicyModel): PolicyModel =>
  Object.assign(Object.create(model) as PolicyModel, { endpointByIp: () => null })
