import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { footprintOf, noFootprint, processesOf } from '../harness/footprint.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

/** The user `nobody`, by number: no image lacks it. */
const nobody = { uid: 65_534, gid: 65_534 }
const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
if (!isRoot)
  console.warn('the test of an unprivileged user is skipped: only root on Linux can start the product as another user')

const policy = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.no-nginx, namespace: dev}
spec:
  tier: security
  order: 1
  selector: app == 'nginx'
  types: [Ingress]
  ingress: [{action: Deny}]
`

interface Probe {
  verdict: string
  flow: FlowEvent | null
}

describe.skipIf(!isRoot)('started by a user without privileges', () => {
  let product: Product

  beforeAll(async () => {
    product = await startProduct({ user: nobody, env: { MARGAY_AGENT__FLOW_FLUSH_INTERVAL: '2s' } })
  })
  afterAll(async () => {
    await product?.stop()
    if (product !== undefined) expect(footprintOf(product)).toEqual(noFootprint)
  })

  const probe = async (source: string, destination: string) => {
    const { code, stdout } = await product.margay('lab', 'probe', source, destination, '-o', 'json')
    return { code, answer: JSON.parse(stdout) as Probe }
  }

  test('the product runs as that user, in one line tells why it simulates, and what to do', async () => {
    const owners = processesOf(product.home).map(({ pid }) => statSync(`/proc/${pid}`).uid)
    expect(owners.length).toBeGreaterThan(5)
    expect(new Set(owners)).toEqual(new Set([nobody.uid]))
    const lines = product.screen().split('\n')
    expect(lines.filter((line) => /simulated: .*need root: start as root \(sudo\)/.test(line))).toHaveLength(1)
    expect(lines.filter((line) => /EACCES|EPERM|at .*\.js:\d+/.test(line))).toEqual([])
    expect(footprintOf(product)).toMatchObject({ namespaces: [], namespaceFolders: [], devices: [] })
  })

  test('the state of the pipeline is marked so', async () => {
    const status = (await (await fetch(`${product.url}/v1/status`)).json()) as Record<string, unknown>
    expect(status).toMatchObject({ simulated: true, lab: { mode: 'simulated', reason: expect.stringMatching(/root/) } })
    expect(await product.margay('lab', 'status')).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^simulated: .*root/),
      stdout: expect.stringMatching(/default +paymentservice-/),
    })
  })

  test('every flow and lookup is marked so, denied ones with the rule', async () => {
    interface Count {
      action: string
      simulated: boolean
      n: number
    }
    const counts = () =>
      product.sql<Count>(
        'SELECT action, simulated, toUInt32(count()) AS n FROM flows WHERE notEmpty(enforced_policies) GROUP BY action, simulated ORDER BY action',
      )
    await until(
      async () => (await counts()).length >= 2,
      40_000,
      () => `no flows of both actions: ${product.screen()}`,
    )
    expect((await counts()).map(({ action, simulated }) => ({ action, simulated }))).toEqual([
      { action: 'allow', simulated: true },
      { action: 'deny', simulated: true },
    ])
    expect(await product.sql('SELECT DISTINCT simulated FROM dns')).toEqual([{ simulated: true }])
  })

  test('a probe tells verdict and rule, and obeys a policy that is applied', async () => {
    const allowed = await probe('dev/centos', 'dev/nginx-svc:80')
    expect(allowed).toMatchObject({ code: 0, answer: { verdict: 'allow', flow: { simulated: true, action: 'allow' } } })
    const file = join(product.home, 'policy.yaml')
    writeFileSync(file, policy)
    expect(await product.margay('apply', '-f', file)).toMatchObject({ code: 0 })
    await until(
      async () => (await probe('dev/centos', 'dev/nginx-svc:80')).code === 1,
      10_000,
      () => 'the policy changed nothing',
    )
    const denied = await probe('dev/centos', 'dev/nginx-svc:80')
    expect(denied.answer).toMatchObject({ verdict: 'deny', flow: { simulated: true, action: 'deny' } })
    expect(denied.answer.flow?.enforced_policies).toEqual(['0|security|dev/security.no-nginx|deny|0'])
  })

  test('a program cannot run in the network of a pod, and the command says what it needs', async () => {
    const { code, stdout, stderr } = await product.margay('lab', 'exec', 'dev/centos', '--', 'true')
    expect(code).toBeGreaterThanOrEqual(64)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/simulated.*root.*nftables/)
  })
})
