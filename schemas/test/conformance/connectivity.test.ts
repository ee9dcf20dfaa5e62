import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkExpectation, parseConnectivityTests } from '../../src/conformance/connectivity.ts'
import type { World } from '../../src/conformance/places.ts'
import { aNamespace, aNode, aPod, aService, clusterOf, gnp, np } from '../policy/make.ts'

const resources = [
  aNamespace('shop'),
  aNode('node1', '172.20.0.1'),
  aPod('shop/web', '10.0.0.1', { app: 'web' }),
  aPod('shop/api-6f9c-x1', '10.0.0.2', { app: 'api' }),
  aService('shop/api', {
    clusterIP: '10.96.0.1',
    selector: { app: 'api' },
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  }),
  np('shop/api', {
    selector: "app == 'api'",
    ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [8080] } }],
  }),
  gnp('preview', { namespaceSelector: 'has(projectcalico.org/name)', types: ['Egress'] }, 'StagedGlobalNetworkPolicy'),
].map((resource) =>
  resource.metadata.name === 'api-6f9c-x1'
    ? { ...resource, metadata: { ...resource.metadata, generateName: 'api-6f9c-' } }
    : resource,
)
const world: World = { cluster: clusterOf(...resources), resources }

/** The differences that a file of tests shows, by line. */
function differences(text: string): string[] {
  return parseConnectivityTests(text).expectations.flatMap((expectation) =>
    checkExpectation(world, expectation).differences.map((difference) => `${expectation.line}: ${difference}`),
  )
}

test('what is as expected shows no difference: by pod, workload, service, node, address and name', () => {
  expect(
    differences(`
tests:
  - {from: shop/web, to: shop/api:80, expect: allow, by: shop/api#0, at: ingress, pending: deny}
  - {from: shop/web, to: 'shop/api:http', expect: allow, by: api}
  - {from: shop/web, to: 10.0.0.2:8081, expect: deny, by: 'default.api#-1', at: ingress}
  - {from: shop/api, to: shop/web:80, expect: allow, by: profile}
  - {from: node/node1, to: shop/api:80, expect: allow, by: own-host}
  - {from: shop/web, to: www.example.com:443, expect: allow, at: egress}
  - {from: internet/198.51.100.7, to: [shop/web], port: [80, 443], protocol: UDP, expect: allow}
`),
  ).toEqual([])
})

test('what differs is told with its line: the verdict, what decides, the end, what is pending', () => {
  expect(
    differences(`
tests:
  - {from: shop/web, to: shop/api:80, expect: deny}
  - {from: shop/web, to: shop/api:80, expect: allow, by: shop/web}
  - {from: shop/web, to: shop/api:80, expect: allow, at: egress, pending: allow}
  - {from: shop/gone, to: shop/api:80, expect: allow}
matrix: |
  from \\ to   shop/api:80   10.0.0.2:53/udp
  shop/web     deny          deny
`),
  ).toEqual([
    '3: expected deny, is allow',
    '4: expected to be decided by shop/web',
    '5: expected to be decided at egress, is at ingress',
    '5: expected allow with staged policies, is deny',
    '6: cannot be judged',
    '9: expected deny, is allow',
  ])
})

test('a matrix is a table of sources and destinations; a dot is not tested', () => {
  const text = `
protocol: UDP
matrix: |
  from \\ to    shop/api:8080/tcp   shop/web:53
  # a comment
  shop/web      deny                .
  shop/api      .                   deny
`
  expect(
    parseConnectivityTests(text).expectations.map(({ from, to, protocol, expect: verdict, line }) => [
      from,
      to,
      protocol,
      verdict,
      line,
    ]),
  ).toEqual([
    ['shop/web', 'shop/api:8080/tcp', 'UDP', 'deny', 6],
    ['shop/api', 'shop/web:53', 'UDP', 'deny', 7],
  ])
})

test.each([
  ['tests: [', /^line 1: /],
  ['[]', 'line 1: a file of connectivity tests is a mapping'],
  ['description: x', 'line 1: the file has neither tests nor a matrix'],
  ['test: []', /^line 1: unknown member test; known are/],
  ['tests:\n  - {from: a, to: b, expected: allow}', /^line 2: unknown member expected/],
  ['tests:\n  - {from: a, to: b, expect: yes}', 'line 2: expect must be allow or deny'],
  ['tests:\n\n  - {from: a, expect: deny}', 'line 3: to is required'],
  ['tests:\n  - {from: a, to: b, expect: deny, at: middle}', 'line 2: at must be egress, transit, ingress'],
  ['matrix: |\n  from \\ to  a:1 b:1\n  c  allow', 'line 3: 1 cells for 2 destinations'],
  ['matrix: |\n  from \\ to  a:1\n  c  maybe', 'line 3: maybe is none of allow, deny and "."'],
])('a file that cannot be read says where: %j', (text, message) => {
  expect(() => parseConnectivityTests(text)).toThrow(message)
})

test('the example in the repository can be read', () => {
  const text = readFileSync(new URL('../../../test/fixtures/connectivity/shop.yaml', import.meta.url), 'utf8')
  expect(parseConnectivityTests(text).expectations.length).toBeGreaterThan(20)
})
