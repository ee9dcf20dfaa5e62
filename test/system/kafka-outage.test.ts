import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, startBroker } from '../../infra/kafka/broker.ts'
import { processesOf } from '../harness/footprint.ts'
import { canRunKafka, canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

const outageMs = 60_000

interface Readiness {
  state: string
  reason?: string
}

/** Resident memory of a process in MiB; 0 when it is gone. */
function residentMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

describe.skipIf(!canRunKernelLab || !canRunKafka)(
  'Kafka is away for a minute (needs root, nftables, Java, Maven)',
  () => {
    let broker: Broker
    let product: Product

    beforeAll(async () => {
      broker = await startBroker()
      product = await startProduct({
        env: {
          MARGAY_LOG__ADAPTER: 'kafka',
          MARGAY_LOG__KAFKA__BROKERS: JSON.stringify(broker.brokers),
          MARGAY_LOG__KAFKA__PARTITIONS: '1',
        },
      })
      await until(
        async () => (await flowsSince(0)) > 0,
        60_000,
        () => `no flows:\n${product.screen()}`,
      )
    })
    afterAll(async () => {
      await product?.stop()
      await broker?.stop()
    })

    /** Connections that allowed flows tell of, of intervals that began at `from` or later (unix ms) and ended before `to`. */
    const flowsSince = async (from: number, to = 4_000_000_000_000) =>
      Number(
        (
          await product.sql<{ n: string }>(
            `SELECT count() AS n FROM flows WHERE start_time >= fromUnixTimestamp64Milli(toInt64(${from})) AND end_time < fromUnixTimestamp64Milli(toInt64(${to}))`,
          )
        )[0]?.n,
      )
    const readiness = async () => (await (await fetch(`${product.url}/readyz`)).json()) as Readiness

    test('it is told, costs bounded memory, and everything of that minute arrives when Kafka is back', async () => {
      const processes = processesOf(product.home).map(({ pid }) => pid)
      const before = processes.map(residentMiB)
      await broker.kill()
      const from = Date.now()
      await until(
        async () => (await readiness()).state !== 'ok',
        30_000,
        () => 'nobody noticed',
      )
      expect((await readiness()).reason).toMatch(/log/)
      // Policy goes on being enforced, and a change is refused with the reason instead of being half done.
      expect(
        (await product.margay('lab', 'probe', 'dev/netshoot', 'default/paymentservice:50051', '--wait', '0')).code,
      ).toBe(1)
      const refused = await product.margay('delete', 'tier', 'application')
      expect(refused.code).not.toBe(0)
      await sleep(Math.max(0, from + outageMs - Date.now()))
      const to = Date.now()
      const grown = processes.map((pid, i) => residentMiB(pid) - (before[i] ?? 0))
      expect(Math.max(...grown)).toBeLessThan(200)

      await broker.restart()
      await until(
        async () => (await readiness()).state === 'ok',
        90_000,
        () => `not well again:\n${product.screen()}`,
      )
      // Agents of two nodes wrote about every ten seconds: what they held back is there now.
      await until(
        async () => (await flowsSince(from, to)) > 100,
        60_000,
        () => 'the flows of the outage did not arrive',
      )
      await until(
        async () => (await flowsSince(to)) > 0,
        60_000,
        () => 'new flows do not arrive',
      )
      const doubled = await product.sql(
        'SELECT log_partition, log_offset, log_index FROM flows GROUP BY ALL HAVING count() > 1 LIMIT 1',
      )
      expect(doubled).toEqual([])
    })
  },
)
