import { parseArgs } from 'node:util'
import { pipeline, pipelineTable } from './pipeline.ts'
import { measureIdle } from './policy/idle.ts'
import { measurePackets } from './policy/packets.ts'
import { idleLine, packetsTable, shapesTable, verdictsLine } from './policy/print.ts'
import { measureShapes } from './policy/shapes.ts'
import { measureVerdicts } from './policy/verdicts.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '60000' },
    rounds: { type: 'string' },
    adapters: { type: 'string', default: 'embedded,kafka' },
    edits: { type: 'string', default: '240' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = (usual: number) => Number(values.rounds ?? usual)

/** Each prints tables for people and gives what `--json` prints as the last line. */
const benchmarks: Record<string, () => Promise<object>> = {
  async pipeline() {
    const outcomes = await pipeline(
      { events: Number(values.events), rounds: rounds(2), adapters: values.adapters.split(',') },
      (found) => console.log(pipelineTable(found)),
    )
    return { outcomes }
  },
  async policy() {
    const verdicts = measureVerdicts({ rounds: rounds(5), packets: 200_000 })
    console.log(verdictsLine(verdicts))
    const shapes = await measureShapes({ rounds: rounds(3), edits: Number(values.edits) })
    console.log(shapesTable(shapes))
    return { shapes, ...verdicts }
  },
  async dataplane() {
    const packets = await measurePackets({ rounds: rounds(5), packets: 300_000, connections: 5000 })
    console.log(packetsTable(packets))
    const idle = await measureIdle({ pods: 100, seconds: 30 })
    console.log(idleLine(idle))
    const shapes = await measureShapes({ rounds: rounds(1), edits: Number(values.edits) })
    console.log(shapesTable(shapes))
    return { shapes, packets, idle }
  },
}

const name = positionals[0] ?? 'pipeline'
const benchmark = benchmarks[name]
if (benchmark === undefined) {
  console.error(
    `no benchmark is called ${name}; there are: pipeline [--events N] [--adapters embedded,kafka], policy [--edits N], dataplane; each with [--rounds N] [--json]`,
  )
  process.exit(2)
}
const found = await benchmark()
if (values.json) console.log(JSON.stringify({ benchmark: name, node: process.version, ...found }))
process.exit()
