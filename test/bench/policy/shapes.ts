import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { median } from '../cpu.ts'
import type { ShapeOrder, ShapeRun } from './node.ts'
import { nameOf, type Shape, shape } from './shape.ts'

/** What is printed of a shape. */
export interface ShapeFigures {
  readonly load_s: number
  readonly load_cpu_s: number
  readonly load_rss_mib: number
  readonly change_p50_ms: number
  readonly change_p99_ms: number
  readonly policy_p50_ms: number
  readonly label_p50_ms: number
  readonly pod_p50_ms: number
  readonly rules: number
  readonly sets: number
}

/** The shapes of the published comparison and their growth. */
const shapes: readonly Shape[] = [shape(1000, 250), shape(5000, 250), shape(10_000, 100_000, 250)]

/** Name of the run that gives every change to the nft command instead of to the kernel itself. */
export const baselineName = '1000x250 by the nft command'

const round = (value: number, digits = 2) => Number(value.toFixed(digits))

/** The value below which 99 % of all are. */
const p99 = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(values.length * 0.99) - 1)] as number

/** Runs the shapes by turns, each run in a process and a network namespace of its own, and gives medians by name. */
export async function measureShapes(options: {
  readonly rounds: number
  readonly edits: number
}): Promise<Record<string, ShapeFigures>> {
  const variants: { readonly name: string; readonly order: ShapeOrder }[] = [
    ...shapes.map((one) => ({
      name: nameOf(one),
      order: { shape: one, edits: options.edits, pauseMs: 20, nft: 'auto' as const },
    })),
    {
      name: baselineName,
      order: { shape: shapes[0] as Shape, edits: Math.ceil(options.edits / 3), pauseMs: 20, nft: 'command' },
    },
  ]
  const runs = new Map<string, ShapeRun[]>()
  for (let turn = 0; turn < options.rounds; turn += 1)
    for (const { name, order } of variants) runs.set(name, [...(runs.get(name) ?? []), await runOnce(order)])
  return Object.fromEntries([...runs].map(([name, list]) => [name, figures(list)]))
}

async function runOnce(order: ShapeOrder): Promise<ShapeRun> {
  const child = fork(fileURLToPath(new URL('node.ts', import.meta.url)), [], {
    execArgv: ['--import', 'tsx', '--conditions=source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  child.send(order)
  const gone = once(child, 'exit')
  const [result] = (await Promise.race([
    once(child, 'message'),
    gone.then(([code]) => {
      throw new Error(`the measured agent ended with ${code}`)
    }),
  ])) as [ShapeRun]
  await gone
  return result
}

function figures(runs: readonly ShapeRun[]): ShapeFigures {
  const of = (pick: (run: ShapeRun) => number, digits?: number) => round(median(runs.map(pick)), digits)
  const all = ({ changes }: ShapeRun) => [...changes.policy, ...changes.label, ...changes.pod]
  return {
    load_s: of((run) => run.load),
    load_cpu_s: of((run) => run.loadCpu),
    load_rss_mib: of((run) => run.rss, 0),
    change_p50_ms: of((run) => median(all(run))),
    change_p99_ms: of((run) => p99(all(run))),
    policy_p50_ms: of((run) => median(run.changes.policy)),
    label_p50_ms: of((run) => median(run.changes.label)),
    pod_p50_ms: of((run) => median(run.changes.pod)),
    rules: of((run) => run.rules, 0),
    sets: of((run) => run.sets, 0),
  }
}
