import type { Resource } from '@margay/schemas'
import type { TestPod } from '../node.ts'

/** A source of numbers that look random and are the same in every run. */
export type Random = (below: number) => number

/** A set of resources that changes step by step: policies of all kinds, tiers, sets, labels of pods. */
export interface World {
  /** Everything in it now, by key. */
  readonly resources: ReadonlyMap<string, Resource>
  /** Changes some of it. Gives what to write and what to delete. */
  step(): { readonly changed: readonly Resource[]; readonly removed: readonly Resource[] }
}

const namespaces = ['shop', 'dev', 'ops'] as const
const apps = ['a', 'b', 'c', 'd']
const calico = 'projectcalico.org/v3'

/** Ports that pods are asked on; pod `i` calls port 8000 + i `web`. */
export const probedPorts = [80, 81, 82, 83, 90, 443, 8000, 8001, 8002]

/** Makes a world for the pods of a test node, with IPv4 addresses that begin with `net4` and IPv6 addresses with `net6`. */
export function createWorld(random: Random, pods: readonly TestPod[], net4: string, net6: string): World {
  const resources = new Map<string, Resource>()
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const chance = (percent: number) => random(100) < percent
  const keyOf = ({ kind, apiVersion, metadata }: Resource) =>
    `${apiVersion} ${kind} ${metadata.namespace ?? ''}/${metadata.name}`

  const labels = () => ({
    app: pick(apps),
    ...(chance(50) && { role: pick(['x', 'y', '']) }),
    ...(chance(30) && { quarantine: 'true' }),
  })
  const namespaceOf = (index: number) => namespaces[index % namespaces.length] as string

  function pod(index: number): Resource {
    const { ip, ip6 } = pods[index] as TestPod
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod${index}`, namespace: namespaceOf(index), labels: labels() },
      spec: {
        nodeName: 'node1',
        serviceAccountName: `sa${index % 2}`,
        containers: [
          {
            name: 'main',
            image: 'main',
            ports: [
              { name: 'web', containerPort: 8000 + (index % 3), protocol: 'TCP' },
              { name: 'dgram', containerPort: 80 + (index % 3), protocol: 'UDP' },
            ],
          },
        ],
      },
      status: { phase: 'Running', podIP: ip, podIPs: [{ ip }, { ip: ip6 }] },
    }
  }

  const namespace = (name: string): Resource => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { team: pick(['x', 'y']) } },
  })
  const serviceAccount = (name: string, of: string): Resource => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: of, labels: chance(50) ? { pci: 'true' } : {} },
  })

  const nets4 = () =>
    pick([[`${net4}0/30`], [`${net4}1/32`, `${net4}4/32`], ['0.0.0.0/0'], [`${net4}4/31`], ['192.0.2.0/24']])
  const nets6 = () => pick([[`${net6}/126`], [`${net6}1/128`, `${net6}5/128`], ['::/0'], ['2001:db8::/32']])
  function networkSet(name: string, of: string | null): Resource {
    return {
      apiVersion: calico,
      kind: of === null ? 'GlobalNetworkSet' : 'NetworkSet',
      metadata: { name, ...(of !== null && { namespace: of }), labels: { set: pick(['s', 't']), app: pick(apps) } },
      spec: { nets: [...nets4(), ...nets6()] },
    }
  }

  const selector = () =>
    pick([
      'all()',
      `app == '${pick(apps)}'`,
      `app != '${pick(apps)}'`,
      `app in {'${pick(apps)}', '${pick(apps)}'}`,
      `has(role) && app not in {'${pick(apps)}'}`,
      `!has(role) || role == 'x'`,
      `set == 's'`,
      `set == 't' || app == '${pick(apps)}'`,
      `role starts with 'x'`,
    ])
  const namespaceSelector = () =>
    pick(["team == 'x'", "team != 'y'", 'all()', `projectcalico.org/name == '${pick(namespaces)}'`])

  /** One end of a rule; `family` is the only address family that its networks may have. */
  function entity(family: 4 | 6, isGlobal: boolean): Record<string, unknown> {
    const net = () => (family === 4 ? nets4() : nets6())
    const narrow = () => net().filter((text) => !text.endsWith('/0'))
    return pick<() => Record<string, unknown>>([
      () => ({}),
      () => ({}),
      () => ({}),
      () => ({ selector: selector() }),
      () => ({ selector: selector(), notSelector: selector() }),
      () => ({ namespaceSelector: namespaceSelector(), ...(chance(50) && { selector: selector() }) }),
      () => ({ nets: net() }),
      () => (narrow().length > 0 ? { nets: net(), notNets: [family === 4 ? `${net4}2/31` : `${net6}2/127`] } : {}),
      () => ({ notNets: [family === 4 ? `${net4}0/30` : `${net6}/126`] }),
      () => ({
        serviceAccounts: pick([
          { names: ['sa0'] },
          { selector: "pci == 'true'" },
          { names: ['sa1'], selector: 'has(pci)' },
        ]),
      }),
      () => (isGlobal ? { selector: selector(), namespaceSelector: 'global()' } : { notSelector: selector() }),
      () => ({ selector: selector(), nets: net() }),
    ])()
  }

  function limits(): Record<string, unknown> {
    return pick<() => Record<string, unknown>>([
      () => ({}),
      () => ({}),
      () => ({ ports: [80] }),
      () => ({ ports: ['81:83', 90] }),
      () => ({ ports: ['web'] }),
      () => ({ ports: ['web', 'dgram', 81, '8000:8001'] }),
      () => ({ notPorts: [80, 82] }),
      () => ({ notPorts: ['web'] }),
      () => ({ ports: ['80:443'], notPorts: ['dgram', 82] }),
    ])()
  }

  function rule(isGlobal: boolean): Record<string, unknown> {
    const family = pick([4, 4, 6] as const)
    const ports = limits()
    const icmp = () => ({ type: pick([8, 128, 3]), ...(chance(40) && { code: pick([0, 1]) }) })
    const protocol: Record<string, unknown> =
      Object.keys(ports).length > 0
        ? { protocol: pick(['TCP', 'TCP', 'UDP', 'SCTP']) }
        : pick<() => Record<string, unknown>>([
            () => ({}),
            () => ({}),
            () => ({}),
            () => ({ protocol: pick(['TCP', 'UDP']) }),
            () => ({ protocol: pick([6, 17, 1, 58]) }),
            () => ({ notProtocol: pick(['TCP', 'UDP', 'ICMP']) }),
            () => ({ protocol: family === 4 ? 'ICMP' : 'ICMPv6', ...(chance(60) && { icmp: icmp() }) }),
            () => ({ protocol: family === 4 ? 'ICMP' : 'ICMPv6', notICMP: icmp() }),
          ])()
    const version = protocol.protocol === 1 ? 4 : protocol.protocol === 58 ? 6 : family
    const source = entity(version, isGlobal)
    const destination = entity(version, isGlobal)
    return {
      action: pick(['Allow', 'Allow', 'Allow', 'Deny', 'Deny', 'Pass', 'Pass', 'Log']),
      ...protocol,
      ...(chance(15) && protocol.notProtocol === undefined && { ipVersion: version }),
      source:
        chance(10) && 'protocol' in protocol && Object.keys(ports).length > 0
          ? { ...source, ports: ['1024:65535'] }
          : source,
      destination: { ...destination, ...ports },
    }
  }
  const rules = (isGlobal: boolean) => Array.from({ length: 1 + random(4) }, () => rule(isGlobal))

  const tiers = ['first', 'second', 'default', 'last']
  const spec = (isGlobal: boolean) => ({
    tier: pick(tiers),
    order: pick([1, 2, 2, 3]),
    selector: selector(),
    ...(isGlobal && chance(30) && { namespaceSelector: namespaceSelector() }),
    ...(chance(10) && { serviceAccountSelector: "pci == 'true'" }),
    ...pick<Record<string, unknown>>([
      { types: ['Ingress'], ingress: rules(isGlobal) },
      { types: ['Egress'], egress: rules(isGlobal) },
      { types: ['Ingress', 'Egress'], ingress: rules(isGlobal), egress: rules(isGlobal) },
      { types: ['Ingress', 'Egress'], ingress: rules(isGlobal) },
    ]),
  })

  function kubernetesSpec(): Record<string, unknown> {
    const peer = () =>
      pick<Record<string, unknown>>([
        { podSelector: { matchLabels: { app: pick(apps) } } },
        { podSelector: { matchExpressions: [{ key: 'role', operator: pick(['Exists', 'DoesNotExist']) }] } },
        { namespaceSelector: { matchLabels: { team: 'x' } } },
        {
          namespaceSelector: {},
          podSelector: { matchExpressions: [{ key: 'app', operator: pick(['In', 'NotIn']), values: [pick(apps)] }] },
        },
        { ipBlock: { cidr: `${net4}0/29`, except: [`${net4}2/32`] } },
      ])
    const ports = () =>
      pick<unknown>([
        undefined,
        [{ port: 80 }],
        [
          { protocol: 'UDP', port: 81 },
          { protocol: 'TCP', port: 80, endPort: 90 },
        ],
        [{ port: 'web' }],
      ])
    const entry = (peers: 'from' | 'to') => ({
      ...(chance(80) && { [peers]: Array.from({ length: 1 + random(2) }, peer) }),
      ...(chance(60) && { ports: ports() }),
    })
    return {
      podSelector: pick([{}, { matchLabels: { app: pick(apps) } }]),
      policyTypes: pick([['Ingress'], ['Egress'], ['Ingress', 'Egress']]),
      ingress: Array.from({ length: random(3) }, () => entry('from')),
      egress: Array.from({ length: random(3) }, () => entry('to')),
    }
  }

  const numbers = [0, 1, 2, 3, 4, 5]
  const policy = (): Resource =>
    pick<() => Resource>([
      () => ({
        apiVersion: calico,
        kind: 'GlobalNetworkPolicy',
        metadata: { name: `g${pick(numbers)}` },
        spec: spec(true),
      }),
      () => ({
        apiVersion: calico,
        kind: 'GlobalNetworkPolicy',
        metadata: { name: `g${pick(numbers)}` },
        spec: spec(true),
      }),
      () => ({
        apiVersion: calico,
        kind: 'NetworkPolicy',
        metadata: { name: `n${pick(numbers)}`, namespace: pick(namespaces) },
        spec: spec(false),
      }),
      () => ({
        apiVersion: calico,
        kind: 'StagedGlobalNetworkPolicy',
        metadata: { name: `g${pick(numbers)}` },
        spec: { stagedAction: 'Set', ...spec(true) },
      }),
      () => ({
        apiVersion: calico,
        kind: 'StagedNetworkPolicy',
        metadata: { name: `n${pick(numbers)}`, namespace: pick(namespaces) },
        spec: chance(30) ? { stagedAction: 'Delete', tier: 'default' } : { stagedAction: 'Set', ...spec(false) },
      }),
      () => ({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: `k${pick(numbers)}`, namespace: pick(namespaces) },
        spec: kubernetesSpec(),
      }),
    ])()
  const tier = (name: string): Resource => ({
    apiVersion: calico,
    kind: 'Tier',
    metadata: { name },
    spec: { order: name === 'last' ? 2_000_000 : pick([1, 2, 3]), defaultAction: pick(['Pass', 'Pass', 'Deny']) },
  })
  const otherTiers = tiers.filter((name) => name !== 'default')

  const isPolicy = ({ kind }: Resource) => kind.endsWith('Policy')
  const first = [
    ...namespaces.map(namespace),
    ...namespaces.flatMap((of) => ['sa0', 'sa1'].map((name) => serviceAccount(name, of))),
    ...pods.map((_, index) => pod(index)),
    ...otherTiers.map(tier),
    ...['s0', 's1'].map((name) => networkSet(name, null)),
    networkSet('s2', 'shop'),
    ...Array.from({ length: 8 }, policy),
  ]
  let isNew = true

  return {
    resources,
    step() {
      const changed = new Map<string, Resource>()
      const removed = new Map<string, Resource>()
      const put = (resource: Resource) => changed.set(keyOf(resource), resource)
      if (isNew) for (const resource of first) put(resource)
      else {
        const policies = [...resources].filter(([, resource]) => isPolicy(resource))
        for (const [key, resource] of policies) if (chance(policies.length > 9 ? 40 : 20)) removed.set(key, resource)
        for (let index = 0; index < 3 + random(3); index += 1) put(policy())
        if (chance(50)) put(tier(pick(otherTiers)))
        for (const index of pods.keys()) if (chance(40)) put(pod(index))
        if (chance(50)) put(networkSet(pick(['s0', 's1']), null))
        if (chance(40)) put(networkSet('s2', 'shop'))
        if (chance(40)) put(namespace(pick(namespaces)))
        if (chance(40)) put(serviceAccount(pick(['sa0', 'sa1']), pick(namespaces)))
      }
      isNew = false
      for (const key of changed.keys()) removed.delete(key)
      for (const key of removed.keys()) resources.delete(key)
      for (const [key, resource] of changed) resources.set(key, resource)
      return { changed: [...changed.values()], removed: [...removed.values()] }
    },
  }
}
