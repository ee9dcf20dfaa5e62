import { hostname } from 'node:os'
import { join } from 'node:path'
import { createOperationsServer } from '@margay/kit/http'
import { createEventLog } from '@margay/kit/log'
import { createResourceCache } from '@margay/kit/resources'
import { serve } from '@margay/kit/service'
import { createHeartbeat } from '@margay/kit/status'
import { milliseconds } from '@margay/schemas'
import { createAgent } from './agent.ts'

/** Runs the agent of a node until it is told to end; `uninstall` takes its policy out of the kernel then. */
export function serveAgent({ uninstall }: { readonly uninstall: boolean }): Promise<void> {
  return serve('agent', ({ config, reporter, runDir, end }) => {
    const node = config.agent.node ?? hostname()
    const log = createEventLog(config, { reporter })
    const resources = createResourceCache({ log, reporter })
    const agent = createAgent(
      {
        node,
        cluster: config.cluster,
        netns: config.agent.netns ?? null,
        dataplane: config.agent.dataplane,
        nft: config.agent.nft,
        cutDenied: config.agent.cutDenied,
        dnsCacheFile: join(config.home, 'agent', `${node}.dns-cache`),
        flowFlushMs: milliseconds(config.agent.flowFlushInterval),
        uninstall,
      },
      { log, resources, reporter, died: end },
    )
    const heartbeat = createHeartbeat(
      { intervalMs: milliseconds(config.agent.heartbeatInterval), cluster: config.cluster, host: node },
      { reporter, log, facts: agent.facts },
    )
    const operations = createOperationsServer(join(runDir, `agent-${node}.sock`), { reporter, routes: agent.routes })
    return [log, resources, ...agent.components, heartbeat, operations]
  })
}
