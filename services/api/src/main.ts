import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClickHouse } from '@margay/kit/clickhouse'
import { createOperationsServer } from '@margay/kit/http'
import { createEventLog } from '@margay/kit/log'
import { createResourceCache } from '@margay/kit/resources'
import { serve } from '@margay/kit/service'
import { createHeartbeat } from '@margay/kit/status'
import { allTopics } from '@margay/kit/topics'
import { milliseconds } from '@margay/schemas'
import { inBackground } from './background.ts'
import { createFeeds } from './events/feed.ts'
import { createAsk } from './neighbour.ts'
import { createPulse } from './pulse.ts'
import { createGuard } from './resources/guard.ts'
import { createResourceStore } from './resources/store.ts'
import { createApiServer } from './server.ts'

await serve('api', ({ config, reporter, runDir }) => {
  const { cluster } = config
  const log = createEventLog(config, { reporter })
  const topics = { name: 'topics', start: () => log.createTopics(allTopics(config)) }
  const cache = createResourceCache({ log, reporter })
  const guard = createGuard(config.api.authorization, cluster)
  const store = createResourceStore(
    { cluster, host: hostname() },
    { log, cache, reporter, guard, now: Date.now, uid: randomUUID },
  )
  const clickhouse = createClickHouse(config, { reporter })
  const feeds = createFeeds({ log, reporter })
  const pulse = createPulse({ log, now: Date.now })
  const server = createApiServer(config.api, {
    context: { config, store, guard, log, clickhouse, feeds, pulse, ask: createAsk(runDir), reporter, now: Date.now },
    consoleDir: fileURLToPath(new URL('../../console/dist', import.meta.url)),
  })
  const heartbeat = createHeartbeat(
    { intervalMs: milliseconds(config.report.statusInterval), cluster },
    { reporter, log },
  )
  const operations = createOperationsServer(join(runDir, 'api.sock'), { reporter })
  return [log, topics, cache, store, inBackground(clickhouse, reporter), feeds, pulse, server, operations, heartbeat]
})
