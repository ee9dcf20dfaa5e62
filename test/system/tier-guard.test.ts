import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callSocket } from '@margay/cli/client'
import {
  createCluster,
  evaluate,
  type FlowEvent,
  type LintFinding,
  protocolNumber,
  type Resource,
} from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

/** A shop front whose payment part (PCI) runs under service accounts of its own; every service is port 80 of pods that listen on 8080. */
const workloads = ['frontend', 'microservice1', 'microservice2', 'backend', 'logging']
const paying = ['microservice1', 'microservice2', 'backend']
const workload = (name: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: storefront}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      serviceAccountName: ${name}
      containers: [{name: main, image: example.com/${name}, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: storefront}
spec: {selector: {app: ${name}}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: storefront, labels: ${paying.includes(name) ? '{PCI: "true"}' : '{}'}}
`
const manifests = `apiVersion: v1
kind: Namespace
metadata: {name: storefront}
${workloads.map(workload).join('')}`

/** secops own tier security; developers write policies of tier default in their namespace. */
const roles = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
# Records with addresses, so that they can be held against the evaluator.
spec: {flowLogsFileAggregationKindForAllowed: 1}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 400}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: secops}
rules:
  - {apiGroups: [projectcalico.org], resources: [tiers], verbs: [get, list, delete]}
  - {apiGroups: [projectcalico.org], resources: [tier.globalnetworkpolicies, tier.networkpolicies], resourceNames: [security.*], verbs: ["*"]}
  - {apiGroups: [projectcalico.org], resources: [globalnetworksets], verbs: ["*"]}
  - {apiGroups: [""], resources: [serviceaccounts], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: secops}
roleRef: {kind: ClusterRole, name: secops}
subjects: [{kind: Group, name: secops}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tier-default}
rules: [{apiGroups: [projectcalico.org], resources: [tiers], resourceNames: [default], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tier-default}
roleRef: {kind: ClusterRole, name: tier-default}
subjects: [{kind: User, name: dev}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: developer, namespace: storefront}
rules: [{apiGroups: [projectcalico.org], resources: [tier.networkpolicies], resourceNames: [default.*], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developer, namespace: storefront}
roleRef: {kind: Role, name: developer}
subjects: [{kind: User, name: dev}]
`

/** What carries PCI data talks to its own kind, to the name servers and to the outside; the rest is for later tiers. */
const allowList = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside, labels: {type: public}}
spec: {nets: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.pci-allow-list}
spec:
  tier: security
  order: 100
  serviceAccountSelector: PCI == "true"
  types: [Ingress, Egress]
  ingress:
    - {action: Deny, source: {serviceAccounts: {selector: 'PCI != "true"'}}}
    - {action: Pass}
  egress:
    - {action: Pass, protocol: UDP, destination: {selector: k8s-app == "kube-dns", ports: [53]}}
    - {action: Pass, protocol: TCP, destination: {selector: k8s-app == "kube-dns", ports: [53]}}
    - {action: Pass, destination: {selector: type == "public"}}
    - {action: Deny, destination: {serviceAccounts: {selector: 'PCI != "true"'}}}
    - {action: Pass}
`

type Outcome = 'allow' | 'deny at source' | 'deny at destination'
type Matrix = readonly (readonly [from: string, to: string, outcome: Outcome])[]
const matrix: Matrix = [
  ['frontend', 'microservice1', 'deny at destination'],
  ['frontend', 'microservice2', 'deny at destination'],
  ['microservice1', 'microservice2', 'allow'],
  ['microservice2', 'microservice1', 'allow'],
  ['microservice1', 'backend', 'allow'],
  ['microservice2', 'backend', 'allow'],
  ['microservice1', 'logging', 'deny at source'],
  ['backend', 'logging', 'deny at source'],
  ['frontend', 'logging', 'allow'],
  ['microservice2', 'api.twilio.com:443', 'allow'],
]

interface ProbeAnswer {
  readonly verdict: 'allow' | 'deny'
  readonly flow: FlowEvent | null
}
interface Who {
  readonly user: string
  readonly groups?: string
}
const root: Who = { user: 'root', groups: 'system:masters' }
const secops: Who = { user: 'sara', groups: 'secops' }
const dev: Who = { user: 'dev' }

describe.skipIf(!canRunKernelLab)('a tier that others cannot override', () => {
  const folder = mkdtempSync(join(tmpdir(), 'margay-tier-guard-'))
  let product: Product

  beforeAll(async () => {
    writeFileSync(join(folder, 'storefront.yaml'), manifests)
    product = await startProduct({
      args: ['--lab', folder],
      env: { MARGAY_API__AUTHORIZATION: 'rbac', MARGAY_GROUPS: 'system:masters' },
    })
    expect((await apply(root, roles)).status).toBe(200)
    expect((await apply(secops, allowList)).status).toBe(200)
  })
  afterAll(async () => {
    await product?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function ask(who: Who, method: string, path: string, body?: string) {
    const answer = await fetch(`${product.url}/v1/${path}`, {
      method,
      headers: {
        'x-margay-user': who.user,
        ...(who.groups !== undefined && { 'x-margay-groups': who.groups }),
        ...(body !== undefined && { 'content-type': 'application/yaml' }),
      },
      ...(body !== undefined && { body }),
    })
    const text = (await answer.json()) as { code?: string; detail?: string; items?: Resource[] }
    return { status: answer.status, ...text }
  }
  const apply = (who: Who, text: string) => ask(who, 'POST', 'apply', text)

  const probe = (from: string, to: string) =>
    callSocket<ProbeAnswer>(join(product.home, 'run', 'lab.sock'), 'POST', '/probe', {
      source: `storefront/${from}`,
      destination: to.includes(':') ? to : `storefront/${to}:80`,
      waitFlowMs: 8000,
    })

  /** Every resource that decides. */
  async function clusterNow() {
    const cluster = createCluster()
    const plurals =
      'namespaces serviceaccounts nodes pods services endpointslices globalnetworksets tiers globalnetworkpolicies networkpolicies'
    for (const plural of plurals.split(' ')) {
      const { items = [] } = await ask(root, 'GET', `resources/${plural}`)
      for (const resource of items) cluster.apply(resource)
    }
    return cluster
  }

  /** Probes in the kernel: verdict and deciding record must be those of the table, and of the evaluator. */
  async function expectMatrix(expected: Matrix): Promise<void> {
    const answers = await Promise.all(expected.map(([from, to]) => probe(from, to)))
    const seen = answers.map(({ verdict, flow }, index) => {
      const side = flow?.reporter === 'src' ? 'source' : 'destination'
      const outcome = flow === null ? 'no record' : verdict === 'allow' ? 'allow' : `deny at ${side}`
      return `${expected[index]?.[0]} -> ${expected[index]?.[1]}: ${outcome}`
    })
    expect(seen).toEqual(expected.map(([from, to, outcome]) => `${from} -> ${to}: ${outcome}`))
    const cluster = await clusterNow()
    for (const { flow } of answers) {
      const { source_ip, dest_ip, proto, dest_port } = flow as FlowEvent
      const evaluation = evaluate(cluster, {
        sourceIp: source_ip as string,
        destinationIp: dest_ip as string,
        protocol: protocolNumber(proto) as number,
        sourcePort: 40_000,
        destinationPort: dest_port,
      })
      expect(evaluation.verdict, `${flow?.source_name} -> ${flow?.dest_name}`).toBe(flow?.action)
    }
  }

  const denied = "user_username = 'dev' AND responseStatus_code = 403"
  const countOf = async () => {
    const rows = await product.sql<{ n: number }>(`SELECT toUInt32(count()) AS n FROM audit WHERE ${denied}`)
    return rows[0]?.n ?? 0
  }

  test('the matrix holds in the kernel and in the evaluator, names included', async () => {
    const settled = async () => (await probe('frontend', 'microservice1')).verdict === 'deny'
    await until(settled, 10_000, () => 'the allow list is not enforced')
    await expectMatrix(matrix)
    // A name is asked for first, by the pod's own resolver.
    const lookUp = await product.margay(
      'lab',
      'exec',
      'storefront/microservice2',
      '--',
      'getent',
      'hosts',
      'api.twilio.com',
    )
    expect(lookUp).toMatchObject({ code: 0, stdout: expect.stringContaining('198.51.100.') })
  })

  const policy = (name: string, tier: string, order: number) => `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: ${name}, namespace: storefront}
spec: {tier: ${tier}, order: ${order}, selector: all(), types: [Ingress, Egress], ingress: [{action: Allow}], egress: [{action: Allow}]}
`

  test('allow-all of a developer in tier default, before everything there, changes nothing', async () => {
    expect((await apply(dev, policy('allow-all', 'default', -1000))).status).toBe(200)
    await expectMatrix(matrix)
  })

  test('whatever a developer tries beside that is refused, and told in the audit log', async () => {
    const stolen =
      'User "dev" cannot %s networkpolicies.projectcalico.org in tier "security" and namespace "storefront" (user cannot get tier)'
    const attempts: readonly (readonly [string, string, string | undefined, string])[] = [
      ['POST', 'apply', policy('security.mine', 'security', 1), stolen.replace('%s', 'create')],
      ['POST', 'apply', policy('allow-all', 'security', 1), stolen.replace('%s', 'patch')],
      [
        'PUT',
        'resources/globalnetworkpolicies/security.pci-allow-list',
        'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: security.pci-allow-list}\nspec: {tier: security}\n',
        'User "dev" cannot update globalnetworkpolicies.projectcalico.org in tier "security" (user cannot get tier)',
      ],
      [
        'DELETE',
        'resources/globalnetworkpolicies/security.pci-allow-list',
        undefined,
        'User "dev" cannot delete globalnetworkpolicies.projectcalico.org in tier "security" (user cannot get tier)',
      ],
      [
        'POST',
        'apply',
        'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: mine}\nspec: {order: 1}\n',
        'User "dev" cannot create resource "tiers" in API group "projectcalico.org" at the cluster scope',
      ],
      [
        'POST',
        'apply',
        'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: frontend, namespace: storefront, labels: {PCI: "true"}}\n',
        'User "dev" cannot patch resource "serviceaccounts" in API group "" in the namespace "storefront"',
      ],
      [
        'POST',
        'apply',
        'apiVersion: v1\nkind: Namespace\nmetadata: {name: storefront, labels: {zone: trusted}}\n',
        'User "dev" cannot patch resource "namespaces" in API group "" at the cluster scope',
      ],
      [
        'GET',
        'resources/globalnetworkpolicies/security.pci-allow-list',
        undefined,
        'User "dev" cannot get globalnetworkpolicies.projectcalico.org in tier "security" (user cannot get tier)',
      ],
    ]
    for (const [method, path, body, detail] of attempts)
      expect(await ask(dev, method, path, body), detail).toMatchObject({ status: 403, code: 'FORBIDDEN', detail })
    expect((await ask(dev, 'GET', 'resources/globalnetworkpolicies')).items).toEqual([])
    await until(
      async () => (await countOf()) >= attempts.length,
      20_000,
      () => 'the audit log does not tell of the refusals',
    )
    const told = await product.sql<{ message: string }>(
      `SELECT responseStatus_message AS message FROM audit WHERE ${denied} ORDER BY stageTimestamp`,
    )
    expect(told.map(({ message }) => message).sort()).toEqual(attempts.map(([, , , detail]) => detail).sort())
    await expectMatrix(matrix.slice(0, 3))
  })

  test('the linter tells, before it is applied, that the allow list without its Passes takes the names away', async () => {
    const lint = async (...args: string[]) => {
      const { code, stdout } = await product.margay('lint', '-o', 'json', ...args)
      const findings = stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as LintFinding)
      return { code, rules: findings.filter(({ severity }) => severity !== 'info').map(({ rule }) => rule), findings }
    }
    const bare = (allowList.split('---')[1] ?? '').replace(/^.*Pass, .*\n/gm, '')
    writeFileSync(join(folder, 'bare.yaml'), bare)
    const before = await lint('-f', join(folder, 'bare.yaml'), '--against-cluster')
    expect(before).toMatchObject({ code: 1, rules: ['dns-blocked'] })
    expect(before.findings.find(({ rule }) => rule === 'dns-blocked')?.message).toContain('leaves 3 endpoints')
    const cluster = await lint()
    expect(cluster).toMatchObject({ code: 0, rules: [] })
    expect(cluster.findings.map(({ rule, object }) => `${rule} ${object}`)).toContain(
      'negated-label GlobalNetworkPolicy security.pci-allow-list',
    )
  })

  test('nobody deletes a tier that holds policies', async () => {
    for (const who of [secops, root])
      expect(await ask(who, 'DELETE', 'resources/tiers/security')).toMatchObject({
        status: 409,
        code: 'TIER_NOT_EMPTY',
      })
    expect((await ask(dev, 'DELETE', 'resources/tiers/security')).status).toBe(403)
  })

  test('a label of a service account counts at once, for pods that run already', async () => {
    const pods = async () =>
      (await ask(root, 'GET', 'resources/pods?namespace=storefront')).items?.map(({ metadata }) => metadata.uid)
    const before = await pods()
    const label = (value: string) =>
      apply(
        secops,
        `apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: logging, namespace: storefront, labels: {PCI: "${value}"}}\n`,
      )
    const reaches = (verdict: string) => async () => (await probe('backend', 'logging')).verdict === verdict
    for (const [value, verdict] of [
      ['true', 'allow'],
      ['false', 'deny'],
    ] as const) {
      expect((await label(value)).status).toBe(200)
      await until(reaches(verdict), 5000, () => `PCI=${value} has no effect`)
    }
    await expectMatrix([
      ['backend', 'logging', 'deny at source'],
      ['frontend', 'logging', 'allow'],
    ])
    expect(await pods()).toEqual(before)
  })
})
