import { readFileSync } from 'node:fs'
import { createCluster, evaluate, type Packet, parseResources, type Resource } from '@margay/schemas'
import { median } from '../cpu.ts'
import { createPlainEvaluator } from './plain-evaluator.ts'

/** Verdicts per second of CPU on the policies of the lab, and those of a plain evaluator in the same run. */
export interface VerdictFigures {
  readonly verdicts_per_s: number
  /** Those of an evaluator without any index. */
  readonly plain_per_s: number
  readonly ratio: number
}

const read = (path: string): Resource[] =>
  parseResources(readFileSync(new URL(path, import.meta.url), 'utf8')).resources.map(({ resource }) => resource)

/** Judges random connections between the lab's pods, and from them to the outside, at the ladder's last full stage. */
export function measureVerdicts(options: { readonly rounds: number; readonly packets: number }): VerdictFigures {
  const resources = [
    ...read('../../../schemas/test/policy/fixtures/topology.yaml'),
    ...['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9'].flatMap((s) => read(`../../fixtures/ladder/${s}.yaml`)),
  ]
  const cluster = createCluster()
  for (const resource of resources) cluster.apply(resource)
  const pods = [...cluster.endpoints()]
  let seed = 1
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const packets = Array.from({ length: 4096 }, (): Packet => {
    const source = pick(pods)
    const destination = pick(pods)
    return {
      sourceIp: source.ips[0] as string,
      destinationIp: random(8) === 0 ? '142.250.74.100' : (destination.ips[0] as string),
      protocol: random(5) === 0 ? 17 : 6,
      sourcePort: 40_000 + random(1000),
      destinationPort: pick([80, 443, 53, 8080, 50051, 7070, 3550, 6379]),
    }
  })

  const plain = createPlainEvaluator(cluster)
  for (const packet of packets)
    if (plain(packet) !== evaluate(cluster, packet).verdict)
      throw new Error(`the two evaluators disagree about ${JSON.stringify(packet)}`)

  function rate(judge: (packet: Packet) => unknown): number {
    const before = process.cpuUsage()
    for (let index = 0; index < options.packets; index += 1) judge(packets[index % packets.length] as Packet)
    const { user, system } = process.cpuUsage(before)
    return options.packets / ((user + system) / 1e6)
  }

  const rates = { ours: [] as number[], plain: [] as number[] }
  for (let round = 0; round <= options.rounds; round += 1) {
    const ours = rate((packet) => evaluate(cluster, packet))
    const other = rate(plain)
    // The first round warms the compiler.
    if (round > 0) {
      rates.ours.push(ours)
      rates.plain.push(other)
    }
  }
  const ours = Math.round(median(rates.ours))
  const other = Math.round(median(rates.plain))
  return { verdicts_per_s: ours, plain_per_s: other, ratio: Number((ours / other).toFixed(2)) }
}
