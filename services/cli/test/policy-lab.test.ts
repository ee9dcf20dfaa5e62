import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { addPolicyCommands } from '../src/commands/policy.ts'
import { runCommand } from './command-run.ts'

let folder: string
let lab: Server | null

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'margay-policy-lab-'))
  mkdirSync(join(folder, 'run'))
  lab = null
})
afterEach(() => {
  lab?.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Probe {
  readonly source: string
  readonly destination: string
  readonly protocol: string
}

/** Starts a lab that answers each probe as told. */
async function startLab(answer: (probe: Probe) => Promise<unknown> | unknown): Promise<void> {
  lab = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    response.setHeader('content-type', 'application/json').end(JSON.stringify(await answer(JSON.parse(body) as Probe)))
  })
  await new Promise<void>((resolve) => lab?.listen(join(folder, 'run', 'lab.sock'), resolve))
}

/** Runs `margay policy test --lab` on a file of that text; the file is `FILE` in what it prints. */
async function policyTest(text: string): Promise<{ out: string; exit: number }> {
  const file = join(folder, 'tests.yaml')
  writeFileSync(file, text)
  const { out, exit } = await runCommand(addPolicyCommands, folder, ['policy', 'test', '--lab', file])
  return { out: out.replaceAll(file, 'FILE'), exit }
}

const flow = (action: string, reporter: string, ...enforced: string[]) => ({
  action,
  reporter,
  enforced_policies: enforced,
})

test('connections are opened 16 at once, and told in the order of the file', async () => {
  const ports = Array.from({ length: 40 }, (_, index) => 1000 + index)
  let [open, most] = [0, 0]
  let all: () => void = () => {}
  const full = new Promise<void>((resolve) => {
    all = resolve
  })
  await startLab(async ({ destination }) => {
    most = Math.max(most, ++open)
    if (open === 16) all()
    // Nobody is answered before as many are open as may be; then the later the sooner.
    await full
    await new Promise((resolve) => setTimeout(resolve, 1040 - Number(destination.split(':')[1])))
    open--
    return { verdict: 'allow', flow: null }
  })
  const { out, exit } = await policyTest(`tests: [{from: a/b, to: c/d, port: [${ports}], expect: deny}]`)
  expect(most).toBe(16)
  expect(out.match(/c\/d:\d+/g)).toEqual(ports.map((port) => `c/d:${port}`))
  expect(exit).toBe(1)
})

test('a connection that policy allows and nobody answers is told as that', async () => {
  const allowed = flow('allow', 'dst', '0|application|default/application.frontend|allow|0')
  await startLab(({ destination }) =>
    destination.endsWith(':80')
      ? { verdict: 'deny', error: 'timed out', flow: allowed }
      : destination.endsWith(':81')
        ? { verdict: 'deny', error: 'timed out', flow: flow('deny', 'dst', '0|default|default/default.x|deny|-1') }
        : { verdict: 'deny', error: 'refused', flow: destination.endsWith(':82') ? allowed : null },
  )
  const { out } = await policyTest('tests: [{from: a/b, to: c/d, port: [80, 81, 82, 83], expect: allow}]')
  expect(out.split('\n').filter((line) => line.startsWith('    '))).toEqual([
    '    expected allow, nothing answered (timed out): policy allows it by default/application.frontend#0 (ingress)',
    '    expected allow, is deny: end of tier default (default/default.x) (ingress)',
    '    expected allow, nobody listens there (refused): policy allows it by default/application.frontend#0 (ingress)',
    '    expected allow, is deny: no flow record tells by what',
  ])
})

test('the protocol is told once, by the destination or by the file', async () => {
  await startLab(() => ({ verdict: 'allow', flow: null }))
  const { out } = await policyTest(
    'protocol: TCP\ntests: [{from: a/b, to: [c/dns:53/udp, c/web:80, 10.0.0.9:53/udp], expect: deny}]',
  )
  expect(out.split('\n').filter((line) => line.includes('→'))).toEqual([
    '✗ FILE:2: a/b → c/dns:53/udp',
    '✗ FILE:2: a/b → c/web:80 TCP',
    '✗ FILE:2: a/b → 10.0.0.9:53/udp',
  ])
})

test('without a lab it says so', async () => {
  await expect(policyTest('tests: [{from: a/b, to: c/d, port: [1, 2, 3], expect: deny}]')).rejects.toMatchObject({
    code: 'LAB_UNREACHABLE',
  })
})
