import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const pom = new URL('./pom.xml', import.meta.url).pathname

/** Version of Kafka that pom.xml pins. */
function kafkaVersion(): string {
  return /<kafka\.version>(.+?)<\/kafka\.version>/.exec(readFileSync(pom, 'utf8'))?.[1] as string
}

/**
 * Folder of the broker's jars, fetched with Maven the first time: `<cache>/kafka-<version>`, where the cache is
 * MARGAY_CACHE or `~/.cache/margay`. Throws an Error that says what to install when `java` or `mvn` is missing.
 */
export async function kafkaJars(
  cache = process.env.MARGAY_CACHE ?? join(homedir(), '.cache', 'margay'),
): Promise<string> {
  await need(
    'java',
    ['-version'],
    'a Java runtime, version 17 or newer (Debian: apt-get install openjdk-17-jre-headless)',
  )
  const dir = join(cache, `kafka-${kafkaVersion()}`)
  if (existsSync(dir)) return dir
  await need('mvn', ['-v'], 'Maven (Debian: apt-get install maven)')
  mkdirSync(cache, { recursive: true })
  const fresh = `${dir}.${process.pid}`
  rmSync(fresh, { recursive: true, force: true })
  await run('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${fresh}`])
  if (existsSync(dir))
    rmSync(fresh, { recursive: true }) // another process was faster
  else renameSync(fresh, dir) // whole or not at all
  return dir
}

async function need(command: string, args: string[], what: string): Promise<void> {
  try {
    await run(command, args)
  } catch (cause) {
    throw new Error(`a Kafka broker needs ${command}: install ${what} and put it on the PATH`, { cause })
  }
}
