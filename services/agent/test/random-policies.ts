/** Numbers that look random and are the same in every run. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/**
 * Policies of three tiers with rules of every kind the kernel decides, as documents of JSON. Each selects by one of the selectors; rules
 * match endpoints by their label `app`, a, b or c, and the first addresses of the networks that begin as given.
 */
export function randomPolicies(
  seed: number,
  options: { readonly selectors: readonly string[]; readonly net4: string; readonly net6: string },
): { policies: string; tiers: string } {
  const { selectors, net4, net6 } = options
  const random = createRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const entity = (): Record<string, unknown> =>
    pick([
      {},
      {},
      {},
      {},
      { selector: `app == '${pick(['a', 'b', 'c'])}'` },
      { selector: "app in {'a', 'b'}", notSelector: `app == '${pick(['a', 'b'])}'` },
      { nets: [`${net4}${1 + 2 * random(2)}/32`, `${net4}2/32`] },
      { notNets: [`${net4}2/31`] },
      { nets: [`${net6}/126`] },
      { namespaceSelector: "team == 'x'" },
    ])
  const ports = () =>
    pick<Record<string, unknown>>([
      {},
      { ports: [80] },
      { ports: ['81:83', 90] },
      { ports: ['web'] },
      { ports: ['web', 81], notPorts: [80] },
      { notPorts: [80, 82] },
    ])
  const rule = () => {
    const source = entity()
    const destination = entity()
    // One address family in a rule: validation demands it.
    const addresses = JSON.stringify([source, destination])
    if (addresses.includes(net6) && addresses.includes(net4))
      for (const key of ['nets', 'notNets']) delete destination[key]
    const limits = ports()
    const protocol =
      Object.keys(limits).length > 0
        ? { protocol: pick(['TCP', 'UDP']) }
        : pick<Record<string, unknown>>([
            {},
            {},
            { protocol: 'UDP' },
            { notProtocol: 'TCP' },
            { protocol: 'ICMP' },
            {
              protocol: pick(['ICMP', 'ICMPv6']),
              icmp: { type: pick([8, 128]), ...pick([{}, { code: 0 }, { code: 1 }]) },
            },
            {
              protocol: pick(['ICMP', 'ICMPv6']),
              notICMP: { type: pick([8, 128]), ...pick([{}, { code: 0 }, { code: 1 }]) },
            },
          ])
    const action = pick(['Allow', 'Allow', 'Allow', 'Deny', 'Pass', 'Pass', 'Pass', 'Log'])
    return { action, ...protocol, source, destination: { ...destination, ...limits } }
  }
  const rules = () => Array.from({ length: 2 + random(4) }, rule)
  const policy = (tier: string, index: number) => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { name: `${tier}.p${index}` },
    spec: {
      tier,
      order: random(3),
      selector: pick(selectors),
      ...pick<Record<string, unknown>>([
        { types: ['Ingress'], ingress: rules() },
        { types: ['Egress'], egress: rules() },
        { types: ['Ingress', 'Egress'], ingress: rules(), egress: rules() },
      ]),
    },
  })
  const tier = (name: string, spec: object) => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'Tier',
    metadata: { name },
    spec,
  })
  const print = (documents: readonly object[]) => documents.map((d) => JSON.stringify(d)).join('\n---\n')
  return {
    tiers: print([
      tier('first', { order: 1, defaultAction: 'Pass' }),
      tier('second', { order: 2, defaultAction: pick(['Pass', 'Pass', 'Deny']) }),
    ]),
    policies: print(['first', 'second', 'default'].flatMap((name) => [policy(name, 0), policy(name, 1)])),
  }
}
