import { parseArgs } from 'node:util'
import { pipeline, pipelineTable } from './pipeline.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '2' },
    adapters: { type: 'string', default: 'embedded,kafka' },
    json: { type: 'boolean', default: false },
  },
})
const name = positionals[0] ?? 'pipeline'
if (name !== 'pipeline') {
  console.error(
    `no benchmark is called ${name}; there is: pipeline [--events N] [--rounds N] [--adapters embedded,kafka] [--json]`,
  )
  process.exit(2)
}
const outcomes = await pipeline(
  { events: Number(values.events), rounds: Number(values.rounds), adapters: values.adapters.split(',') },
  (found) => console.log(pipelineTable(found)),
)
if (values.json) console.log(JSON.stringify({ benchmark: name, node: process.version, outcomes }))
process.exit()
