import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { askSocket } from '@margay/kit/socket'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { labObstacle } from '../../../test/harness/lab.ts'
import { freePort } from '../../../test/harness/port.ts'
import { runCommand, until } from '../../../test/harness/product.ts'

const home = mkdtempSync(join(tmpdir(), 'margay-lab-service-'))
const id = `t${randomBytes(2).toString('hex')}`
const running: ChildProcess[] = []
let port = 0

interface Started {
  readonly child: ChildProcess
  readonly messages: Record<string, unknown>[]
}

/** A service's own process, as the supervisor forks it; resolves when it is ready. */
function start(service: string, env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const main = fileURLToPath(new URL(`../../${service}/src/main.ts`, import.meta.url))
  const child = fork(main, {
    execArgv: ['--import', 'tsx', '--conditions=source'],
    env: {
      ...process.env,
      MARGAY_HOME: home,
      MARGAY_API__PORT: String(port),
      MARGAY_LAB__ID: id,
      MARGAY_REPORT__LEVEL: 'warn',
      MARGAY_AGENT__FLOW_FLUSH_INTERVAL: '1s',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  running.push(child)
  const messages: Record<string, unknown>[] = []
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`${service} ended with ${code}`)))
    child.on('message', (message: Record<string, unknown>) => {
      messages.push(message)
      if (message.ready === true) resolve({ child, messages })
    })
  })
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  child.kill(signal)
  return await gone
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await askSocket(join(home, 'run/lab.sock'), { method, path, body })).json as T
}

async function names(plural: string): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/resources/${plural}`)
  const { items } = (await response.json()) as { items: { metadata: { name: string } }[] }
  return items.map(({ metadata }) => metadata.name)
}

const left = async () =>
  (await runCommand('ip', ['netns', 'list'])).stdout.split('\n').filter((line) => line.startsWith(`${id}-`))

interface Probe {
  verdict: string
  error?: string
  flow: { action: string; simulated?: boolean; enforced_policies: string[] } | null
}

beforeAll(async () => {
  port = await freePort()
  await start('api')
})
afterAll(async () => {
  for (const child of running.reverse()) {
    child.removeAllListeners('exit')
    await stop(child)
  }
  rmSync(home, { recursive: true, force: true })
})

describe.skipIf(labObstacle !== null)('the lab service in the kernel', () => {
  it('tells its nodes, publishes what it runs and probes it, and leaves nothing', async () => {
    const { child, messages } = await start('lab')
    expect(messages[0]).toEqual({
      lab: {
        mode: 'kernel',
        nodes: [
          { name: 'node1', netns: `${id}-node1`, ip: '172.18.0.2' },
          { name: 'node2', netns: `${id}-node2`, ip: '172.18.0.3' },
        ],
      },
    })
    expect(await names('nodes')).toEqual(['node1', 'node2'])
    expect(await names('pods')).toHaveLength(17)
    expect(await names('globalnetworkpolicies')).toContain('default.default-deny')
    const status = await ask<{ mode: string; pods: { name: string; ready: boolean }[] }>('GET', '/status')
    expect([status.mode, status.pods.length]).toEqual(['kernel', 17])
    const probe = { source: 'dev/centos', destination: 'default/frontend:80', waitFlowMs: 0 }
    expect(await ask('POST', '/probe', probe)).toMatchObject({
      verdict: 'allow',
      protocol: 'tcp',
      port: 80,
      flow: null,
    })
    expect(await ask('POST', '/probe', { ...probe, source: 'dev/nobody' })).toMatchObject({ code: 'LAB_POD_UNKNOWN' })
    expect(await ask('POST', '/probe', { source: 'dev/centos' })).toMatchObject({ code: 'LAB_REQUEST_INVALID' })

    const text =
      'apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: dev}\nspec: {containers: [{name: a, image: x}]}\n'
    expect(await ask('POST', '/add', { text })).toEqual({ results: ['pod dev/late added'], notes: [] })
    expect(await names('pods')).toContain('late')
    expect(await ask('POST', '/remove', { text })).toEqual({ results: ['pod dev/late removed'], notes: [] })
    expect(await names('pods')).not.toContain('late')

    child.removeAllListeners('exit')
    expect(await stop(child)).toBe(0)
    expect(await left()).toEqual([])
  })

  it('goes on where it was after it was killed', async () => {
    const { child } = await start('lab')
    const before = await names('pods')
    child.removeAllListeners('exit')
    await stop(child, 'SIGKILL')
    expect(await left()).not.toEqual([])
    const second = await start('lab')
    expect(await names('pods')).toEqual(before)
    const probe = { source: 'dev/centos', destination: 'dev/nginx-svc:80', waitFlowMs: 0 }
    expect(await ask('POST', '/probe', probe)).toMatchObject({ verdict: 'allow' })
    second.child.removeAllListeners('exit')
    await stop(second.child)
    expect(await left()).toEqual([])
  })
})

describe('the lab service without a kernel', () => {
  it('judges its traffic, says why, and marks every record', async () => {
    const { child, messages } = await start('lab', { MARGAY_LAB__MODE: 'simulated' })
    expect(messages[0]).toMatchObject({ lab: { mode: 'simulated', reason: expect.any(String) } })
    let denied: Probe | undefined
    // The policies come back to the lab through the log, a moment after the API took them.
    await until(
      async () => {
        denied = await ask<Probe>('POST', '/probe', {
          source: 'dev/netshoot',
          destination: 'default/paymentservice:50051',
        })
        return denied.verdict === 'deny'
      },
      10_000,
      () => `still allowed: ${JSON.stringify(denied)}`,
    )
    expect(denied?.flow).toMatchObject({ action: 'deny', simulated: true })
    expect(denied?.flow?.enforced_policies.at(-1)).toBe('3|default|default.default-deny|deny|-1')
    const allowed = await ask<Probe>('POST', '/probe', {
      source: 'default/loadgenerator',
      destination: 'default/frontend:80',
    })
    expect(allowed).toMatchObject({ verdict: 'allow', flow: { action: 'allow', reporter: 'dst', simulated: true } })
    child.removeAllListeners('exit')
    expect(await stop(child)).toBe(0)
  })
})
