import { writeSync } from 'node:fs'
import { createEmbeddedLog } from '../../src/log/embedded/adapter.ts'
import { createReporter } from '../../src/reporter.ts'

/*
 * A process that shares a log's folder with the test that started it: `member-process.ts <dir> <role> <name>`.
 * It tells what happened on its output with synchronous writes, so that nothing it said is lost when it is killed.
 *   write    appends to the topics `left` and `right` without end; `acknowledged <value>` when durable
 *   consume  joins group `shared` on `left`; `handled <value>` before each batch is committed
 *   tail     follows `left` from the latest; `heard <value> <unix ms>`
 *   fill     appends to `left` until it is refused; `refused <code>`, and `alive` a moment later
 *   idle     follows `left` and keeps a member in a group of its own; `used <ms of CPU>` in each second
 */
const [dir, role, name] = process.argv.slice(2) as [string, string, string]
const say = (line: string) => writeSync(1, `${line}\n`)
const log = createEmbeddedLog({ dir, topics: [] }, { reporter: createReporter('member', { level: 'silent' }) })
process.on('disconnect', () => process.exit())
setInterval(() => {}, 1000) // the log alone keeps no process alive
await log.start?.()

const roles: Record<string, () => Promise<void>> = {
  async write() {
    const append = async (worker: number) => {
      for (let turn = 0; ; turn += 1) {
        const value = Buffer.from(`${name}-${worker}-${turn}`)
        await log.append([
          { topic: 'left', key: null, value },
          { topic: 'right', key: null, value },
        ])
        say(`acknowledged ${value}`)
      }
    }
    for (const worker of [0, 1, 2]) void append(worker)
  },
  async consume() {
    await log.consume({
      group: 'shared',
      topics: ['left'],
      from: 'earliest',
      async handle({ records }) {
        for (const { value } of records) say(`handled ${value}`)
      },
    })
  },
  async tail() {
    await log.tail({
      topics: ['left'],
      from: 'latest',
      handle({ records }) {
        const now = Date.now()
        for (const { value } of records) say(`heard ${value} ${now}`)
      },
    })
  },
  async fill() {
    const append = async () => {
      for (;;) await log.append([{ topic: 'left', key: null, value: Buffer.alloc(100_000) }])
    }
    const ends = await Promise.allSettled([append(), append(), append()])
    for (const end of ends) if (end.status === 'rejected') say(`refused ${end.reason.code} ${log.health?.().state}`)
    setTimeout(() => say('alive'), 200)
  },
  async idle() {
    await log.tail({ topics: ['left'], from: 'latest', handle: () => {} })
    await log.consume({ group: name, topics: ['left', 'right'], from: 'latest', handle: async () => {} })
    let last = process.cpuUsage()
    setInterval(() => {
      const used = process.cpuUsage(last)
      last = process.cpuUsage()
      say(`used ${(used.user + used.system) / 1000}`)
    }, 1000)
  },
}
await roles[role]?.()
say('ready')
