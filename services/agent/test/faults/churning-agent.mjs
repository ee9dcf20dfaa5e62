// A built agent with an event log in memory, to be killed at any moment. Each message is a list of resources to write, `{key}` deletes; each
// is answered by `programmed` once the kernel has it. It says `loaded` when it could start and starts at its first message.
import { createReporter } from '@margay/kit/reporter'
import { createResourceCache, versionHeader } from '@margay/kit/resources'
import { keyOf, resourcesTopic } from '@margay/schemas'
import { createAgent } from '../../dist/agent.js'

const [netns, dnsCacheFile] = process.argv.slice(2)
const records = []
let handle = () => {}
const log = {
  async tail(options) {
    if (!options.topics.includes(resourcesTopic)) return { close: async () => {} }
    handle = (batch) => options.handle({ topic: resourcesTopic, partition: 0, records: batch })
    await handle(records)
    options.caughtUp?.()
    return { close: async () => {} }
  },
  // Flows of a killed agent are nobody's business here.
  append: async (given) => given.map(({ topic }) => ({ topic, partition: 0, offset: 0 })),
}

async function put(resources) {
  const batch = resources.map((resource) => ({
    key: 'metadata' in resource ? keyOf(resource) : resource.key,
    value: 'metadata' in resource ? Buffer.from(JSON.stringify({ object: resource })) : null,
    headers: { [versionHeader]: String(records.length + 1) },
  }))
  records.push(...batch)
  await handle(batch)
}

let agent
async function start() {
  const reporter = createReporter('agent', { level: 'error' })
  const resources = createResourceCache({ log, reporter })
  agent = createAgent(
    {
      node: 'node1',
      cluster: 'test',
      netns,
      dataplane: 'nftables',
      dnsCacheFile,
      flowFlushMs: 10_000,
      uninstall: false,
    },
    {
      log,
      resources,
      reporter,
      died(error) {
        throw error
      },
    },
  )
  for (const component of [resources, ...agent.components]) await component.start?.()
}

process.on('message', async (resources) => {
  await put(resources)
  if (agent === undefined) await start()
  await agent.programmer.settled()
  process.send('programmed')
})
process.on('disconnect', () => process.exit())
process.send('loaded')
