import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createClickHouse } from '@margay/kit/clickhouse'
import { createOperationsServer } from '@margay/kit/http'
import { createEventLog } from '@margay/kit/log'
import { createResourceCache } from '@margay/kit/resources'
import { serve } from '@margay/kit/service'
import { createHeartbeat } from '@margay/kit/status'
import { milliseconds } from '@margay/schemas'
import { createCompliance } from './compliance.ts'
import { addRoutes } from './routes.ts'

await serve('compliance', ({ config, reporter, runDir }) => {
  const log = createEventLog(config, { reporter })
  const clickhouse = createClickHouse(config, { reporter })
  const resources = createResourceCache({ log, reporter })
  const compliance = createCompliance(
    { ...config, host: hostname() },
    { log, clickhouse, resources, reporter, now: Date.now, sleep: (ms) => setTimeout(ms) },
  )
  const server = createOperationsServer(join(runDir, 'compliance.sock'), {
    reporter,
    routes: (routes) => addRoutes(routes, compliance.scheduler),
  })
  const heartbeat = createHeartbeat(
    { intervalMs: milliseconds(config.report.statusInterval), cluster: config.cluster },
    { reporter, log },
  )
  return [log, clickhouse, resources, ...compliance.components, server, heartbeat]
})
