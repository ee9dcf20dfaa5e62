import { spawnSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Broker, startBroker } from '../../../infra/kafka/broker.ts'
import { type Rig, startRig } from './rig.ts'

const lacking = ['java', 'mvn'].find((command) => spawnSync(command, ['-version']).error !== undefined)
if (lacking !== undefined) console.log(`the store is not tested with Kafka: ${lacking} is not installed`)

describe.skipIf(lacking !== undefined)('a store between Kafka and a real engine', () => {
  let broker: Broker
  let rig: Rig

  beforeAll(async () => {
    broker = await startBroker()
    rig = await startRig({
      MARGAY_LOG__ADAPTER: 'kafka',
      MARGAY_LOG__KAFKA__BROKERS: JSON.stringify(broker.brokers),
      MARGAY_LOG__KAFKA__PARTITIONS: '2',
    })
  })
  afterAll(async () => {
    await rig?.stop()
    await broker?.stop()
  })

  const complete = (timeout: number) =>
    expect.poll(() => rig.counts(), { timeout, interval: 200 }).toEqual(rig.everything())

  it('stores what it reads from every partition', async () => {
    await rig.produce(8)
    await complete(20_000)
    const [row] = await rig.clickhouse.query('SELECT uniqExact(log_partition) AS partitions FROM flows')
    expect(row).toEqual({ partitions: 2 })
  })

  it('has every event once after the broker, the engine and the store were killed', async () => {
    let producing = true
    let refused = 0
    const producer = (async () => {
      while (producing) {
        const block = [rig.nextFlow()]
        for (;;) {
          try {
            await rig.append(block)
            break
          } catch {
            refused += 1
            await setTimeout(100)
          }
        }
      }
    })()
    await broker.kill()
    await setTimeout(1500)
    await broker.restart()
    await rig.engine.kill()
    await setTimeout(500)
    await rig.engine.start()
    await setTimeout(1000)
    await rig.endStore('SIGKILL')
    await rig.startStore()
    producing = false
    await producer
    console.log(`${refused} appends were refused while the broker was away`)
    await complete(40_000)
    expect(await rig.ready()).toMatchObject({ state: 'ok' })
  })
})
