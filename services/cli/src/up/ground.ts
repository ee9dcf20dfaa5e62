import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Config } from '@margay/kit/config'
import { MargayError } from '@margay/kit/errors'
import type { Ground } from './plan.ts'

/**
 * Prepares the home folder: one `margay up` at a time, a password for the engine, a free port for it, the API's port free.
 * Throws UP_RUNNING or PORT_IN_USE with what to do.
 */
export async function prepareGround(config: Config): Promise<Ground> {
  mkdirSync(join(config.home, 'run'), { recursive: true, mode: 0o700 })
  const secrets = join(config.home, 'secrets')
  mkdirSync(secrets, { recursive: true, mode: 0o700 })
  claim(config.home)
  if (!(await isFree(config.api.port, config.api.host))) {
    throw new MargayError(
      'PORT_IN_USE',
      `port ${config.api.port} on ${config.api.host} is in use: end what holds it, or choose another with MARGAY_API__PORT`,
    )
  }
  const enginePasswordFile = join(secrets, 'engine-password')
  if (!existsSync(enginePasswordFile))
    writeFileSync(enginePasswordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
  return { enginePort: config.engine.port > 0 ? config.engine.port : await freePort(), enginePasswordFile }
}

const lockFile = (home: string) => join(home, 'run', 'up.pid')

function claim(home: string): void {
  const path = lockFile(home)
  const holder = existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0
  if (holder > 0 && holder !== process.pid && isAlive(holder)) {
    throw new MargayError(
      'UP_RUNNING',
      `margay already runs in ${home} (process ${holder}): use it, or end it first, or choose another folder with MARGAY_HOME`,
    )
  }
  writeFileSync(path, String(process.pid))
}

/** Gives the home folder back. */
export function releaseGround(home: string): void {
  rmSync(lockFile(home), { force: true })
}

/** Whether the process exists and is a margay: a number may have been given to another program since. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !existsSync('/proc/self/cmdline') || readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('margay')
  } catch {
    return false
  }
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen({ port: 0, host: '127.0.0.1' }, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
