import { createRandom, randomPolicies } from './random-policies.ts'

/** Random policies of host endpoints and of workloads, of every stage, as documents of JSON; `kinds` counts how many act where. */
export function randomHostPolicies(seed: number): { policies: string; tiers: string } {
  const random = createRandom(seed * 7919)
  const { policies, tiers } = randomPolicies(seed, {
    selectors: ['has(host)', 'has(host)', 'has(host)', "app == 'b'", 'all()', "app == 'a'", '!has(host)'],
    net4: '10.78.0.',
    net6: 'fd78::',
  })
  const documents = policies.split('\n---\n').map((text) => JSON.parse(text))
  for (const document of documents) {
    const { spec } = document
    const stage = random(8)
    if (stage < 2) Object.assign(spec, { preDNAT: true, applyOnForward: true })
    else if (stage < 3) Object.assign(spec, { doNotTrack: true, applyOnForward: true })
    else if (stage < 6) Object.assign(spec, { applyOnForward: true })
    if (spec.preDNAT) {
      spec.ingress = [...(spec.ingress ?? spec.egress)]
      spec.types = ['Ingress']
      delete spec.egress
    }
  }
  return { tiers, policies: documents.map((document) => JSON.stringify(document)).join('\n---\n') }
}

/** Host endpoints of the node as they may stand: each wire with its own, `*`, or both. */
export function randomHosts(seed: number): string {
  const random = createRandom(seed * 104_729)
  const host = (name: string, interfaceName: string, app: string, ips: readonly string[]) =>
    JSON.stringify({
      apiVersion: 'projectcalico.org/v3',
      kind: 'HostEndpoint',
      metadata: { name, labels: { app, host: 'yes' } },
      spec: {
        node: 'node1',
        interfaceName,
        expectedIPs: ips,
        profiles: random(2) === 0 ? ['projectcalico-default-allow'] : [],
        ports: [{ name: 'web', protocol: 'TCP', port: 80 }],
      },
    })
  const near = host('near', 'wire0', 'b', ['10.78.0.1', 'fd78::1'])
  const far = host('far', 'wire1', 'a', ['10.79.0.1', 'fd79::1'])
  const rest = host('rest', '*', 'b', [])
  return [[near], [near, far], [rest], [near, rest], [far, rest]][seed % 5]?.join('\n---\n') as string
}
