import { describe, expect, test } from 'vitest'
import { parseProbe } from '../../src/conformance/place-text.ts'
import type { World } from '../../src/conformance/places.ts'
import { aHost, aNamespace, aNode, aPod, aService, clusterOf } from '../policy/make.ts'

const service = (place: string, clusterIP: string) =>
  aService(place, { clusterIP, selector: {}, ports: [{ port: 80, targetPort: 8080 }] })
const resources = [
  aNamespace('default'),
  aNamespace('dev'),
  aNode('node1', '172.20.0.1'),
  aHost('edge', '172.20.0.9'),
  aPod('dev/centos', '10.0.0.1'),
  aPod('dev/netshoot', '10.0.0.2'),
  aPod('default/redis', '10.0.0.3'),
  service('default/frontend', '10.96.0.1'),
  service('dev/nginx-svc', '10.96.0.2'),
  service('dev/netshoot', '10.96.0.3'),
]
const world: World = { cluster: clusterOf(...resources), resources }
const destination = (to: string, from = 'dev/centos') => parseProbe(world, from, to, null).destination

describe('where a connection goes to', () => {
  test.each([
    ['frontend.default', { service: 'default/frontend' }],
    ['frontend.default.svc', { service: 'default/frontend' }],
    ['Frontend.default.svc.cluster.local.', { service: 'default/frontend' }],
    ['default/frontend', { service: 'default/frontend' }],
  ])('%s is the service, as the DNS of the cluster says', (to, place) => {
    expect(destination(`${to}:80`)).toEqual(place)
    expect(destination(to, 'node/node1')).toEqual(place)
  })

  test.each(['frontend.dev', 'frontend.default.example', 'redis.default', 'frontend.default.'])(
    '%s is a name outside: no service is called so',
    (to) => {
      expect(destination(`${to}:80`)).toEqual({ domain: to.replace(/\.$/, '') })
    },
  )

  test('a bare name is the service of the namespace of the source, then the pod there, then a host endpoint', () => {
    expect(destination('nginx-svc:80')).toEqual({ service: 'dev/nginx-svc' })
    expect(destination('netshoot')).toEqual({ service: 'dev/netshoot' })
    expect(destination('centos:80/tcp')).toEqual({ pod: 'dev/centos' })
    expect(destination('redis:6379', 'default/redis')).toEqual({ pod: 'default/redis' })
    expect(destination('edge:22')).toEqual({ endpoint: 'edge' })
  })

  test('a bare name that nothing has is refused, with what was looked for and where', () => {
    expect(() => destination('frontend:80')).toThrow(
      'there is no service and no pod frontend in namespace dev (that of dev/centos), and no host endpoint',
    )
    expect(() => destination('nginx-svc:80', 'node/node1')).toThrow(
      'there is no host endpoint nginx-svc, and the source is no pod in whose namespace a service or pod could be meant',
    )
  })

  test('a source is no service: it has no resolver that would look it up', () => {
    expect(parseProbe(world, 'frontend.default', 'frontend.default:80', null).source).toEqual({
      domain: 'frontend.default',
    })
    expect(() => parseProbe(world, 'centos', 'frontend.default:80', null)).toThrow('"centos" is no place')
  })
})
