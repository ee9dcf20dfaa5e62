import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { addWhyCommand } from '../src/commands/why.ts'
import { runCommand } from './command-run.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const files = [
  'schemas/test/policy/fixtures/topology.yaml',
  ...['s1', 's5'].map((s) => `test/fixtures/ladder/${s}.yaml`),
]

/** Runs `margay why` on the topology with the threat feed, which holds 203.0.113.0/24. */
const why = (...args: string[]) =>
  runCommand(addWhyCommand, root, ['why', ...args, '-f', ...files.map((file) => `${root}/${file}`)])

test('the name of a service in DNS, or within the namespace of the source, is the service', async () => {
  const full = await why('dev/centos', 'default/frontend:80')
  for (const name of ['frontend.default', 'frontend.default.svc', 'frontend.default.svc.cluster.local']) {
    const { out, exit } = await why('dev/centos', `${name}:80`)
    expect(out.split('\n').slice(1)).toEqual(full.out.split('\n').slice(1))
    expect([out.split(':')[0], exit]).toEqual([`dev/centos → ${name}`, 0])
  }
  const near = await why('dev/centos', 'nginx-svc:80')
  expect(near.out).toContain('dev/centos → nginx-svc:80: ALLOW')
  expect(near.out).not.toContain('stands in')
})

test('an address that no network set holds stands in for a domain, and it is said', async () => {
  const { out, exit } = await why('dev/centos', 'www.google.com:443')
  expect(out).toContain('198.51.100.80 stands in for www.google.com: no DNS answer for it is known here\n')
  expect(out).toMatch(/^dev\/centos → www\.google\.com:443: ALLOW/)
  expect(exit).toBe(0)
  const feed = await why('dev/centos', '203.0.113.80:443')
  expect(feed.out).toContain('203.0.113.80:443: DENY')
  expect(feed.out).not.toContain('stands in')
})

test('a name that is nothing is refused, with what was looked for and where', async () => {
  await expect(why('dev/centos', 'frontend:80')).rejects.toMatchObject({
    code: 'CONNECTIVITY_INVALID',
    message: expect.stringContaining('no service and no pod frontend in namespace dev (that of dev/centos)'),
  })
})
