import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { footprintOf, noFootprint, processesOf } from '../harness/footprint.ts'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

/** A user's own policy. */
const own = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.mine, namespace: dev}
spec: {tier: security, order: 1, selector: run == 'netshoot', types: [Egress], egress: [{action: Deny, protocol: TCP}]}
`

const everyProcess = 'cli engine store api alerts compliance lab agent-node1 agent-node2'.split(' ')

describe.skipIf(!canRunKernelLab)('one home folder over four starts', () => {
  const home = mkdtempSync(join(tmpdir(), 'margay-restart-'))
  let product: Product | undefined
  let labId = ''
  const start = async () => {
    product = await startProduct({
      home,
      ...(labId === '' ? {} : { labId }),
      env: { MARGAY_AGENT__FLOW_FLUSH_INTERVAL: '1s' },
    })
    labId = product.labId
    return product
  }
  afterAll(async () => {
    await product?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  /** Denied flows that began before a time, and the newest of them. */
  const denied = async (running: Product, before: number) => {
    const [row] = await running.sql<{ n: number; newest: number }>(
      `SELECT toUInt32(count()) AS n, toUInt64(toUnixTimestamp64Milli(max(end_time))) AS newest FROM flows WHERE action = 'deny' AND end_time < fromUnixTimestamp64Milli(${before})`,
    )
    return { n: Number(row?.n ?? 0), newest: Number(row?.newest ?? 0) }
  }
  let before: { n: number; newest: number }
  let cut = 0

  test('Ctrl-C leaves no process, namespace, device, table, socket or temporary file', async () => {
    const running = await start()
    writeFileSync(join(home, 'own.yaml'), own)
    expect(await running.margay('apply', '-f', join(home, 'own.yaml'))).toMatchObject({ code: 0 })
    expect(await running.margay('delete', 'globalalerts', 'policy.changed')).toMatchObject({ code: 0 })
    expect(await running.margay('lab', 'probe', 'dev/netshoot', 'default/paymentservice:50051')).toMatchObject({
      code: 1,
    })
    await until(
      async () => (await denied(running, Date.now())).n > 0,
      20_000,
      () => 'no denied flow',
    )
    cut = Date.now() - 1000
    before = await denied(running, cut)
    expect(footprintOf(running).namespaces.length).toBeGreaterThan(15)
    expect(footprintOf(running).processes).toEqual(expect.arrayContaining(everyProcess))
    await running.stop()
    expect(footprintOf(running)).toEqual(noFootprint)
  })

  test('a second start goes on with the data of the first: flows, audit, resources, what the user deleted', async () => {
    const running = await start()
    const after = await denied(running, cut)
    expect(after.n).toBeGreaterThanOrEqual(before.n)
    expect(after.newest).toBeGreaterThanOrEqual(before.newest)
    await expectUsersChanges(running)
    const verbs = await running.sql(
      "SELECT verb, objectRef_name AS name FROM audit WHERE name IN ('security.mine', 'policy.changed') AND user_username != 'system:lab' ORDER BY stageTimestamp",
    )
    expect(verbs).toEqual([
      { verb: 'create', name: 'security.mine' },
      { verb: 'delete', name: 'policy.changed' },
    ])
    await until(
      async () => (await denied(running, Date.now() + 60_000)).newest > cut + 5000,
      20_000,
      () => 'no new flows',
    )
  })

  test('another start in the same folder is refused', async () => {
    const { code, stderr } = await (product as Product).margay('up')
    expect(code).toBeGreaterThanOrEqual(64)
    expect(stderr).toMatch(/already runs in/)
    expect(footprintOf(product as Product).processes).toEqual(expect.arrayContaining(everyProcess))
  })

  test('when the supervisor is killed its processes end by themselves and clean up', async () => {
    const running = product as Product
    const names = footprintOf(running).processes
    await running.kill()
    await until(
      () => processesOf(home).length === 0,
      15_000,
      () => `of ${names.join()} still run: ${footprintOf(running).processes.join()}`,
    )
    expect(footprintOf(running)).toEqual({ ...noFootprint, run: ['up.pid'] })
    await running.stop()
  })

  test('when everything is killed at once the next start clears away what was left', async () => {
    const running = await start()
    const lab = footprintOf(running).namespaces
    // Stopped first, so that none sees another end and cleans up in its last moment.
    const all = processesOf(home)
    for (const { pid } of all) process.kill(pid, 'SIGSTOP')
    for (const { pid } of all) process.kill(pid, 'SIGKILL')
    await until(
      () => processesOf(home).length === 0,
      5000,
      () => 'SIGKILL ends nothing',
    )
    expect(footprintOf(running).namespaces).toEqual(lab)
    await running.stop()

    const next = await start()
    expect(footprintOf(next).namespaces).toEqual(lab)
    await expectUsersChanges(next)
    expect(await next.margay('lab', 'probe', 'dev/centos', 'dev/nginx-svc:80')).toMatchObject({ code: 0 })
    await next.stop()
    expect(footprintOf(next)).toEqual(noFootprint)
  })

  /** The user's policy is there and in force, what the user deleted is not. */
  async function expectUsersChanges(running: Product): Promise<void> {
    expect((await running.margay('get', 'networkpolicies', '-n', 'dev', '-o', 'name')).stdout).toContain(
      'security.mine',
    )
    expect((await running.margay('get', 'globalalerts', '-o', 'name')).stdout).not.toContain('policy.changed')
    const { code, stdout } = await running.margay('lab', 'probe', 'dev/netshoot', 'dev/nginx-svc:80')
    expect(code).toBe(1)
    expect(stdout).toMatch(/DENY +dev\/mine#0/)
  }
})
