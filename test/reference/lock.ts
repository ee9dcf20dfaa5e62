import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface LockedPackage {
  version?: string
  optional?: boolean
  dev?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
  link?: boolean
}

export interface Lock {
  packages: Record<string, LockedPackage>
}

const lockFile = new URL('../../package-lock.json', import.meta.url)

export const readLock = (): Lock => JSON.parse(readFileSync(lockFile, 'utf8')) as Lock

/**
 * Binaries of other platforms that packages name and the lock file lacks. npm leaves them out when the machine that wrote the
 * lock could not see them (npm/cli#4828), and `npm ci` then refuses the lock everywhere.
 */
export function missingBinaries(lock: Lock): { name: string; version: string; dev: boolean }[] {
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    path === '' || entry.link === true || !path.includes('node_modules/')
      ? []
      : Object.entries(entry.optionalDependencies ?? {})
          .filter(
            ([name, version]) =>
              /^\d/.test(version) &&
              platformOf(name) !== null &&
              lock.packages[`node_modules/${name}`] === undefined &&
              lock.packages[`${path}/node_modules/${name}`] === undefined,
          )
          .map(([name, version]) => ({ name, version, dev: entry.dev === true })),
  )
}

/** Platform that the name of a binary package tells, as npm's os, cpu and libc; null when it tells none. */
function platformOf(name: string): { os: string; cpu: string; libc: string | null } | null {
  const match = /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|x64|ia32|ppc64|riscv64|s390x)(.*)$/.exec(
    name,
  )
  if (match === null) return null
  const [, os, cpu, rest] = match as unknown as [string, string, string, string]
  return {
    os,
    cpu,
    libc: os !== 'linux' ? null : rest.includes('musl') ? 'musl' : rest.includes('gnu') ? 'glibc' : null,
  }
}

/** Adds what is missing; such an entry is only ever looked at on its own platform. */
function completeLock(lock: Lock): Lock {
  const packages = { ...lock.packages }
  for (const { name, version, dev } of missingBinaries(lock)) {
    const { os, cpu, libc } = platformOf(name) as { os: string; cpu: string; libc: string | null }
    packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(dev ? { dev } : {}),
      ...(libc === null ? {} : { libc: [libc] }),
      optional: true,
      os: [os],
    }
  }
  // Sorted as npm does, the root first.
  const sorted = Object.entries(packages).sort(([a], [b]) => (a === '' ? -1 : b === '' ? 1 : a.localeCompare(b, 'en')))
  return { ...lock, packages: Object.fromEntries(sorted) }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(lockFile, `${JSON.stringify(completeLock(readLock()), null, 2)}\n`)
