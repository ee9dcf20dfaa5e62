import { createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { baselineTable, baselineTopic } from './baseline.ts'

// The baseline, as a process: the plain way to carry JSON from a log to ClickHouse. One event in each record, JSON.parse, and one
// insert of objects for each batch that the log delivers (8 MiB at most). No validation, no dead letters, no exactly-once.
const config = loadConfig()
const reporter = createReporter('bench', { level: 'error' })
const log = createEventLog(config, { reporter })
const clickhouse = createClickHouse(config, { reporter })
await log.start?.()
await clickhouse.start?.()
const consumer = await log.consume({
  group: 'baseline',
  topics: [baselineTopic],
  from: 'earliest',
  maxBytes: 8 * 2 ** 20,
  async handle({ records }) {
    const values = records.map((record) => JSON.parse(String(record.value)))
    await clickhouse.client.insert({
      table: baselineTable,
      format: 'JSONEachRow',
      values,
      clickhouse_settings: { async_insert: 0 },
    })
  },
})
process.on('disconnect', async () => {
  await consumer.close()
  await log.stop?.()
  await clickhouse.stop?.()
  process.exit()
})
process.send?.({ ready: true })
