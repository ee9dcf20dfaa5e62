import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSecret } from '@margay/kit/config'
import { createOperationsServer } from '@margay/kit/http'
import { serve } from '@margay/kit/service'
import { bytes } from '@margay/schemas'
import { announce, withdraw } from './announcement.ts'
import { loadChdb } from './chdb.ts'
import { createEngine } from './engine.ts'
import { createFront } from './front.ts'
import { withThreads } from './thread-pool.ts'

if (!(await withThreads(process, fileURLToPath(import.meta.url)))) {
  await serve('engine', ({ config, reporter, runDir }) => {
    const file = join(runDir, 'engine.json')
    const password =
      config.engine.passwordFile === undefined
        ? randomBytes(24).toString('base64url')
        : readSecret(config.engine.passwordFile)
    const engine = createEngine(
      { dir: config.engine.dir ?? join(config.home, 'clickhouse'), maxMemory: bytes(config.engine.maxMemory) },
      {
        reporter,
        load: loadChdb,
        giveUp(reason) {
          reporter.log.fatal({ reason }, 'the engine is ended by force')
          process.kill(process.pid, 'SIGKILL')
        },
      },
    )
    const front = createFront(
      { port: config.engine.port, password },
      {
        reporter,
        engine,
        listening: (port) =>
          announce(file, { url: `http://127.0.0.1:${port}`, user: 'default', password, pid: process.pid }),
      },
    )
    const announcement = { name: 'announcement', stop: async () => withdraw(file) }
    return [createOperationsServer(join(runDir, 'engine.sock'), { reporter }), engine, front, announcement]
  })
}
