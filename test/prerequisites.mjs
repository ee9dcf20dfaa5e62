// What the tests need from the system, and how to get it through the machine's ordinary package client.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** One thing needed: how to see that it is there, the Debian package that brings it, and what is skipped without it. */
const needs = [
  { what: 'nftables', found: () => has('nft', ['--version']), packages: ['nftables'], skips: 'tests in a real kernel' },
  { what: 'iproute2', found: () => has('ip', ['-V']), packages: ['iproute2'], skips: 'tests in a real kernel' },
  {
    what: 'curl',
    found: () => has('curl', ['--version']),
    packages: ['curl'],
    skips: 'tests that run a program in a pod',
  },
  {
    what: 'Java 17',
    found: () => has('java', ['-version']),
    packages: ['openjdk-17-jre-headless'],
    skips: 'tests on a real Kafka broker',
  },
  { what: 'Maven', found: () => has('mvn', ['-v']), packages: ['maven'], skips: 'tests on a real Kafka broker' },
  {
    what: 'Chromium',
    found: () => existsSync('/usr/bin/chromium'),
    packages: ['chromium'],
    skips: 'tests of the console in a browser',
  },
]

function has(command, args) {
  return (
    spawnSync(command, args, { stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } })
      .status === 0
  )
}

/** Installs what is missing where root and apt allow it, and tells what is skipped where they do not. */
export function prepare() {
  const missing = needs.filter((need) => !need.found())
  if (missing.length === 0) return
  const packages = [...new Set(missing.flatMap((need) => need.packages))]
  if (process.getuid?.() === 0 && has('apt-get', ['--version'])) {
    console.log(`installing for the tests: ${packages.join(' ')}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    try {
      execFileSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 'ignore', 'inherit'], env })
      execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env,
      })
    } catch (error) {
      console.log(`the packages did not install: ${error.message}`)
    }
  }
  for (const need of needs.filter((n) => !n.found())) {
    console.log(`skips ${need.skips}: ${need.what} is missing (apt-get install ${need.packages.join(' ')})`)
  }
}
