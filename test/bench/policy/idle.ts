import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { loadConfig } from '@margay/kit/config'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { versionHeader } from '@margay/kit/resources'
import { allTopics } from '@margay/kit/topics'
import { keyOf, resourcesTopic } from '@margay/schemas'
import { startService } from '../../harness/service.ts'
import { cpuSeconds, residentMemory } from '../cpu.ts'
import { createNetns } from './netns.ts'
import { addressOf, interfaceOf, measuredNode, resourcesOf, shape } from './shape.ts'

/** An agent of a node with pods on which nothing happens. */
export interface IdleFigures {
  readonly pods: number
  readonly cpu_percent: number
  readonly rss_mib: number
}

/** The built agent as its own process, as on a node, with its log on disk; measured after it has come to rest. */
export async function measureIdle(options: { readonly pods: number; readonly seconds: number }): Promise<IdleFigures> {
  const netns = createNetns()
  const home = mkdtempSync(join(tmpdir(), 'margay-bench-'))
  const config = loadConfig({ MARGAY_HOME: home })
  const log = createEventLog(config, { reporter: createReporter('bench', { level: 'silent' }) })
  try {
    netns.ip(
      Array.from({ length: options.pods }, (_, index) => {
        const name = interfaceOf(index)
        return [
          `link add ${name} type veth peer name p${name}`,
          `link set ${name} up`,
          `route add ${addressOf(index)}/32 dev ${name}`,
        ]
      }).flat(),
    )
    await log.start?.()
    await log.createTopics(allTopics(config))
    let version = 0
    await log.append(
      [...resourcesOf(shape(100, options.pods))].map((resource) => {
        version += 1
        return {
          topic: resourcesTopic,
          key: keyOf(resource),
          value: Buffer.from(JSON.stringify({ object: resource })),
          headers: { [versionHeader]: String(version) },
        }
      }),
    )
    const settings = { MARGAY_AGENT__NODE: measuredNode, MARGAY_AGENT__NETNS: netns.name }
    const agent = await startService('agent', home, settings, 'build')
    await setTimeout(10_000)
    const before = cpuSeconds(agent.pid)
    await setTimeout(options.seconds * 1000)
    const used = cpuSeconds(agent.pid) - before
    const rss = residentMemory(agent.pid)
    await agent.stop()
    return {
      pods: options.pods,
      cpu_percent: Number(((used / options.seconds) * 100).toFixed(2)),
      rss_mib: Math.round(rss),
    }
  } finally {
    await log.stop?.()
    rmSync(home, { recursive: true, force: true })
    netns.remove()
  }
}
