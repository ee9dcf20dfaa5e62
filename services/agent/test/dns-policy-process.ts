// DNS policy in a process of its own, which a test may freeze or kill: dns-policy-process.ts NETNS FOLDER SPEC; prints "ready".
import { join } from 'node:path'
import { createReporter } from '@margay/kit/reporter'
import { createDnsPolicy } from '../src/dns/dns-policy.ts'
import { dnsPolicySettings } from '../src/dns/settings.ts'

const [netns = '', dir = '', spec = '{}'] = process.argv.slice(2)
const policy = createDnsPolicy(
  { netns, cacheFile: join(dir, 'dns-cache'), uninstall: false },
  {
    settings: () => dnsPolicySettings(JSON.parse(spec)),
    services: () => ({
      services: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'kube-dns', namespace: 'kube-system' },
          spec: { clusterIP: '10.96.0.10', ports: [{ port: 53 }] },
        },
      ],
      endpointSlices: [],
    }),
    reporter: createReporter('agent', { level: 'silent' }),
    died: (error) => {
      throw error
    },
    now: Date.now,
  },
)
await policy.start?.()
await policy.fill([{ name: 'd4-allowed', family: 4, patterns: ['*.allowed.example'] }])
console.log('ready')
setInterval(() => {}, 1000)
