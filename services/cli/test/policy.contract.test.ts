import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApi, type TestApi } from '../../../test/harness/api.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'margay-policy-'))
const topology = join(root, 'schemas/test/policy/fixtures/topology.yaml')
const ladder = (stage: string) => join(root, `test/fixtures/ladder/${stage}.yaml`)

/** The API, with the resources of the ladder's first stages. */
let api: TestApi

beforeAll(async () => {
  api = await startApi({ listen: true })
  const body = [topology, ladder('s1'), ladder('s2')].map((file) => readFileSync(file, 'utf8')).join('\n---\n')
  const headers = { 'content-type': 'application/yaml', 'x-margay-user': 'admin' }
  const applied = await fetch(`${api.url}/v1/apply`, { method: 'POST', headers, body })
  expect(applied.status).toBe(200)
})

afterAll(async () => {
  await api.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function margay(...args: string[]): Promise<{ code: number; output: string; talk: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=source', main, ...args], {
    cwd: root,
    env: {
      ...process.env,
      MARGAY_HOME: folder,
      MARGAY_SERVER: api.url,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [output, talk] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (talk += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, output, talk }
}

test('the example of connectivity tests holds', async () => {
  const { code, output } = await margay('policy', 'test', 'test/fixtures/connectivity/shop.yaml')
  expect(output).toMatch(/^✓ test\/fixtures\/connectivity\/shop\.yaml: \d+ as expected, 0 different\n$/)
  expect(code).toBe(0)
})

test('differences are told with line, connection and what decided, and end in 1', async () => {
  const file = join(folder, 'wrong.yaml')
  writeFileSync(
    file,
    `resources: [${topology}, ${ladder('s1')}]\ntests:\n  - {from: dev/centos, to: dev/nginx-svc:80, expect: deny}\n`,
  )
  const { code, output } = await margay('policy', 'test', file)
  expect(output).toBe(
    `✗ ${file}:3: dev/centos → dev/nginx-svc:80\n    expected deny, is allow: profile kns.dev (ingress)\n✗ ${file}: 0 as expected, 1 different\n`,
  )
  expect(code).toBe(1)
  const json = await margay('policy', 'test', '-o', 'json', file)
  expect(JSON.parse(json.output)).toMatchObject({ file, passed: 0, failed: 1, outcomes: [{ verdict: 'allow' }] })
})

test('why asks the API for what has a say, and shows both ends and what staged policies would do', async () => {
  const { code, output } = await margay('why', 'dev/centos', 'dev/nginx-svc:80')
  expect(output).toContain('dev/centos → dev/nginx-svc:80: ALLOW by profile kns.dev')
  expect(output).toContain('egress of dev/centos: ALLOW')
  expect(output).toContain('tier platform: pass by platform.pass-to-next-tier rule 0')
  expect(output).toContain(
    'with staged policies as if enforced: DENY by end of tier default (staged:default.default-deny)',
  )
  expect(output).toContain('egress of dev/centos: ALLOW')
  expect(output).toContain('tier security: pass by security.pass-to-next-tier rule 0')
  expect(code).toBe(0)
})

test('why judges by files instead, exits 1 for a denial and 64 for a place that is not there', async () => {
  const files = ['-f', topology, ladder('s1'), ladder('s4')]
  const denied = await margay('why', '-o', 'json', 'dev/centos', 'www.google.com:443', ...files)
  expect(JSON.parse(denied.output)).toMatchObject({
    verdict: 'deny',
    egress: { trace: expect.arrayContaining(['3|default|default.default-deny|deny|-1']) },
    ingress: { exempt: 'outside' },
    explanation: { verdict: 'deny' },
  })
  expect(denied.code).toBe(1)
  const lost = await margay('why', 'dev/nobody', 'www.google.com:443', ...files)
  expect(lost.talk).toContain('there is no pod, workload or service dev/nobody')
  expect(lost.code).toBe(64)
})

test('with --lab each connection is opened in the lab, and its flow record tells who decided', async () => {
  const asked: { destination: string }[] = []
  const answers: Record<string, unknown> = {
    'default/frontend:80': {
      verdict: 'deny',
      flow: { reporter: 'src', enforced_policies: ['1|default|default.deny|deny|-1', '0|a|a.p|pass|0'] },
    },
    'dev/nginx-svc:80': {
      verdict: 'allow',
      flow: { reporter: 'dst', enforced_policies: ['0|default|dev/knp.default.nginx|allow|0'] },
    },
    'kube-system/kube-dns:53': { verdict: 'allow', flow: null },
  }
  const lab = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const probe = JSON.parse(body) as { destination: string }
    asked.push(probe)
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answers[probe.destination]))
  })
  mkdirSync(join(folder, 'run'), { recursive: true })
  lab.listen(join(folder, 'run', 'lab.sock'))
  await once(lab, 'listening')
  const file = join(folder, 'lab.yaml')
  writeFileSync(
    file,
    `tests:
  - {from: dev/centos, to: default/frontend:80, expect: deny, by: default.deny#-1, at: egress}
  - {from: dev/centos, to: 'dev/nginx-svc:80', expect: allow, by: dev/knp.default.nginx, at: ingress}
  - {from: dev/centos, to: 'kube-system/kube-dns:53', protocol: UDP, expect: deny}
`,
  )
  const { code, output } = await margay('policy', 'test', '--lab', file)
  lab.close()
  // They are opened together: nobody says which comes first.
  expect(asked.sort((a, b) => (a.destination < b.destination ? -1 : 1))).toMatchObject([
    { source: 'dev/centos', destination: 'default/frontend:80', protocol: 'tcp' },
    { destination: 'dev/nginx-svc:80' },
    { destination: 'kube-system/kube-dns:53', protocol: 'udp' },
  ])
  expect(output).toBe(
    `✗ ${file}:4: dev/centos → kube-system/kube-dns:53 UDP\n    expected deny, is allow: no flow record tells by what\n✗ ${file}: 2 as expected, 1 different\n`,
  )
  expect(code).toBe(1)
})
