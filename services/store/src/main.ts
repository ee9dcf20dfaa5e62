import { join } from 'node:path'
import { createClickHouse } from '@margay/kit/clickhouse'
import { createOperationsServer } from '@margay/kit/http'
import { createEventLog } from '@margay/kit/log'
import { serve } from '@margay/kit/service'
import { createHeartbeat } from '@margay/kit/status'
import { bytes, definitions, migrations, milliseconds, topicOf } from '@margay/schemas'
import { createIntake } from './intake.ts'
import { createLag } from './lag.ts'
import { createLedger } from './ledger.ts'
import { createSchema } from './schema.ts'
import { createWriter } from './writer.ts'

await serve('store', ({ config, reporter, runDir }) => {
  const log = createEventLog(config, { reporter })
  const clickhouse = createClickHouse(config, { reporter })
  const ledger = createLedger(join(config.home, 'store', 'ledger'))
  const writer = createWriter({ patienceMs: 15_000 }, { clickhouse, reporter })
  const intake = createIntake(
    {
      batchRows: config.store.batchRows,
      batchBytes: bytes(config.store.batchBytes),
      batchIntervalMs: milliseconds(config.store.batchInterval),
      maxInFlightBytes: bytes(config.store.maxInFlight),
    },
    { log, ledger, writer, reporter, definitions },
  )
  const lag = createLag({ topics: definitions.map(topicOf), intervalMs: 2000 }, { log, reporter, progress: intake })
  const heartbeat = createHeartbeat(
    { intervalMs: milliseconds(config.report.statusInterval), cluster: config.cluster },
    { reporter, log },
  )
  return [
    createOperationsServer(join(runDir, 'store.sock'), { reporter }),
    log,
    clickhouse,
    createSchema(migrations, { clickhouse, reporter }),
    ledger,
    intake,
    lag,
    heartbeat,
  ]
})
