import { setTimeout } from 'node:timers/promises'
import { keyOf } from '@margay/schemas'
import { peakMemory } from '../cpu.ts'
import { createBenchAgent } from './agent.ts'
import { createNetns, must } from './netns.ts'
import { addressOf, interfaceOf, pod, policy, resourcesOf, type Shape } from './shape.ts'

/** What one run of a shape gave. Times are wall-clock. */
export interface ShapeRun {
  /** From the start of an agent that has to read everything to the last rule in the kernel, seconds. */
  readonly load: number
  /** CPU of this process in that time, seconds. */
  readonly loadCpu: number
  /** Largest memory of the process, MiB, the bench's own copy of the resources included. */
  readonly rss: number
  readonly rules: number
  readonly sets: number
  /** Milliseconds from writing an edit to the log until the kernel enforces it, by kind of edit. */
  readonly changes: Readonly<Record<'policy' | 'label' | 'pod', readonly number[]>>
}

/** A forked process runs one shape and answers with a ShapeRun. */
export interface ShapeOrder {
  readonly shape: Shape
  readonly edits: number
  /** Pause between edits, milliseconds: long enough that checks for drift fall among them. */
  readonly pauseMs: number
  readonly nft: 'auto' | 'command'
}

process.once('message', async (order: ShapeOrder) => {
  process.send?.(await run(order))
  process.disconnect()
})

/** Interfaces of pods that come during the run. */
const spares = 20

async function run({ shape, edits, pauseMs, nft }: ShapeOrder): Promise<ShapeRun> {
  const netns = createNetns()
  try {
    netns.ip(
      Array.from({ length: shape.local + spares }, (_, index) => {
        const number = index < shape.local ? index : 2 ** 20 + index - shape.local
        const name = interfaceOf(number)
        return [
          `link add ${name} type veth peer name p${name}`,
          `link set ${name} up`,
          `route add ${addressOf(number)}/32 dev ${name}`,
        ]
      }).flat(),
    )
    const bench = createBenchAgent(netns.name, nft)
    await bench.put(resourcesOf(shape))
    const cpu = process.cpuUsage()
    const started = performance.now()
    await bench.start()
    await bench.agent.programmer.settled()
    const load = (performance.now() - started) / 1000
    const used = process.cpuUsage(cpu)
    const changes = { policy: [] as number[], label: [] as number[], pod: [] as number[] }
    const kinds = ['policy', 'label', 'pod'] as const
    for (let index = 0; index < edits; index += 1) {
      const kind = kinds[index % kinds.length] as (typeof kinds)[number]
      const number = Math.floor(index / kinds.length)
      const from = performance.now()
      if (kind === 'policy') await bench.put([policy(shape, (number * 37) % shape.policies, number + 1)])
      else if (kind === 'label') await bench.put([pod(shape, (number * 41) % shape.local, (number * 7) % shape.groups)])
      else await bench.put([podChange(shape, number)])
      await bench.agent.programmer.settled()
      changes[kind].push(performance.now() - from)
      await setTimeout(pauseMs)
    }
    const listed = must(['ip', 'netns', 'exec', netns.name, 'nft', '-a', 'list', 'table', 'inet', 'margay'])
    await bench.stop()
    return {
      load,
      loadCpu: (used.user + used.system) / 1e6,
      rss: peakMemory(process.pid),
      rules: listed.match(/^\t\t.*# handle/gm)?.length ?? 0,
      sets: listed.match(/^\t(set|map) /gm)?.length ?? 0,
      changes,
    }
  } finally {
    netns.remove()
  }
}

/** Pods that come and go by turns. */
function podChange(shape: Shape, number: number) {
  const index = 2 ** 20 + (Math.floor(number / 2) % spares)
  return number % 2 === 0 ? pod(shape, index, number % shape.groups) : { key: keyOf(pod(shape, index)) }
}
