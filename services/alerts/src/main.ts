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
import { createAlerts } from './alerts.ts'

await serve('alerts', ({ config, reporter, runDir }) => {
  const log = createEventLog(config, { reporter })
  const clickhouse = createClickHouse(config, { reporter })
  const resources = createResourceCache({ log, reporter })
  const clock = {
    now: Date.now,
    random: Math.random,
    sleep: (ms: number, signal: AbortSignal) => setTimeout(ms, undefined, { signal }).catch(() => {}),
  }
  const alerts = createAlerts({ ...config, host: hostname() }, { log, clickhouse, resources, reporter, clock })
  const server = createOperationsServer(join(runDir, 'alerts.sock'), {
    reporter,
    routes: (routes) => routes.get('/alerts', () => ({ alerts: alerts.status() })),
  })
  const heartbeat = createHeartbeat(
    { intervalMs: milliseconds(config.report.statusInterval), cluster: config.cluster },
    { reporter, log },
  )
  return [log, clickhouse, resources, ...alerts.components, server, heartbeat]
})
