import type { Cluster, ModelFollower } from '@margay/schemas'
import { createHitMemory, type HitMemory } from '../../src/nftables/hit-memory.ts'
import { defaultRenderOptions, type RenderOptions } from '../../src/nftables/render.ts'
import { createRenderer, type Renderer } from '../../src/nftables/renderer.ts'
import { createTablePlan, type TablePlan } from '../../src/nftables/table-plan.ts'
import { nothingPresent, transactions } from '../../src/nftables/transaction.ts'
import { printScript } from '../../src/nftables/wire/print.ts'
import { placeHosts } from '../../src/node/host-endpoints.ts'

/** The renderer of node1 and its plan, as a data plane has them. */
export interface Rendering {
  readonly plan: TablePlan
  readonly renderer: Renderer
  readonly hits: HitMemory
  readonly follower: ModelFollower
  /** Takes the changes of the model in; `addresses` are the node's own, each with its interface. */
  update(addresses?: ReadonlyMap<string, string>, options?: RenderOptions): void
  /** All rules as text, by chain. */
  texts(): Record<string, string[]>
  /** What an empty kernel is told: the whole table as an nft script. */
  script(): string
}

/** Interface of a pod by name. */
const interfaceOf = (endpointName: string) => `cali-${endpointName.split('/').at(-1)}`.slice(0, 15)

/** Renders a model once. */
export function rendering(
  model: Cluster,
  addresses: ReadonlyMap<string, string> = new Map(),
  options: RenderOptions = defaultRenderOptions,
): Rendering {
  const hits = createHitMemory(() => 0)
  const plan = createTablePlan(hits)
  const renderer = createRenderer(model, plan)
  const follower = model.follow()
  function update(present = addresses, settings = options): void {
    const own = [...model.endpoints()].filter((endpoint) => endpoint.node === 'node1')
    const endpoints = own
      .filter((endpoint) => endpoint.kind === 'wep')
      .map((endpoint) => ({ endpoint, interfaceName: interfaceOf(endpoint.name) }))
    const hosts = placeHosts(own, present)
    renderer.update({ node: 'node1', changes: follower.take(), endpoints, hosts, options: settings })
  }
  update()
  return {
    plan,
    renderer,
    hits,
    follower,
    update,
    texts: () =>
      Object.fromEntries([...plan.chains].map(([name, { rules }]) => [name, rules.map((rule) => rule.join(' '))])),
    script() {
      const all = {
        chains: new Map([...plan.chains.keys()].map((n) => [n, null] as const)),
        sets: new Map([...plan.sets.keys()].map((n) => [n, 'all'] as const)),
      }
      const { before, build, change } = transactions(nothingPresent(), plan, all)
      return [before, build, change].map((changes) => printScript('margay', changes).text).join('\n')
    },
  }
}
