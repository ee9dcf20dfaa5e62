import { isIPv6 } from 'node:net'
import { workloadInterfaces } from '../nftables/base-chains.ts'
import type { Rule } from '../nftables/ruleset.ts'
import type { DnsServer } from './trusted-servers.ts'

/**
 * The rules by which the kernel shows DNS packets, in a small table of their own beside that of policy: nothing here accepts or drops.
 * Responses of trusted servers are held (or, without delay, copied) for the thread that learns from them; requests and the responses of
 * other servers are copied for the log.
 */

/** The table. */
export const dnsTable = 'margay-dns'
/** NFLOG group of the copies. */
export const dnsLogGroup = 3
/** What the copies of responses of trusted servers are marked with; others are of requests and of strangers' responses. */
export const trustedPrefix = 'margay-dns-trusted'
const requestPrefix = 'margay-dns-request'
const strangerPrefix = 'margay-dns-stranger'

/** A set of the table. */
export interface DnsTableSet {
  readonly name: string
  readonly spec: string
  readonly elements: readonly string[]
}

/** A chain of the table; `hook` is null on one that others jump to. */
export interface DnsTableChain {
  readonly name: string
  readonly hook: string | null
  readonly rules: readonly Rule[]
}

const udp = 17
const dnsPort = 53
const copy = (prefix: string) => `log prefix "${prefix}" group ${dnsLogGroup} snaplen 65535`

/**
 * Chains and sets for some servers. `queue` is the number of the queue in which their responses wait, null when they do not.
 * Behind policy (priority filter + 10): what policy drops teaches nothing.
 */
export function dnsRules(
  servers: readonly DnsServer[],
  queue: number | null,
): { readonly sets: readonly DnsTableSet[]; readonly chains: readonly DnsTableChain[] } {
  const take = queue === null ? copy(trustedPrefix) : `queue num ${queue} bypass`
  const ports = [...new Set(servers.map(({ port }) => port))].sort((a, b) => a - b)
  const sets: DnsTableSet[] = [{ name: 'protocols', spec: 'type inet_proto;', elements: ['6', '17'] }]
  const responses: Rule[] = []
  for (const port of ports) {
    for (const [family, ip, type] of [
      [4, 'ip', 'ipv4_addr'],
      [6, 'ip6', 'ipv6_addr'],
    ] as const) {
      const own = servers.filter((server) => server.port === port && isIPv6(server.ip) === (family === 6))
      if (own.length === 0) continue
      const name = `servers${family}-${port}`
      sets.push({ name, spec: `type ${type};`, elements: own.map((server) => server.ip).sort() })
      const head = [`meta nfproto ipv${family}`, 'meta l4proto @protocols']
      responses.push(
        // By whom the client asked: behind DNAT, a response bears the address of the pod that answered.
        [...head, 'ct direction reply', `ct original proto-dst ${port}`, `ct original ${ip} daddr @${name}`, take],
        // A cache on the node often keeps its connections from being tracked.
        [...head, 'ct state untracked', `th sport ${port}`, `${ip} saddr @${name}`, take],
      )
    }
  }
  const fromWorkload = `iifname "${workloadInterfaces}"`
  const toWorkload = `oifname "${workloadInterfaces}"`
  const requests = [...new Set([dnsPort, ...ports])].map(
    (port): Rule => [fromWorkload, `meta l4proto ${udp}`, `th dport ${port}`, copy(requestPrefix)],
  )
  // A queued packet goes on behind the chain that queued it, so what follows sees the responses of strangers only.
  const strangers: Rule = [
    `meta l4proto ${udp}`,
    'ct direction reply',
    `ct original proto-dst ${dnsPort}`,
    copy(strangerPrefix),
  ]
  const behindPolicy = (hook: string) => `type filter hook ${hook} priority filter + 10; policy accept;`
  return {
    sets,
    chains: [
      {
        name: 'responses',
        hook: null,
        rules: queue === null ? responses.map((rule) => [...rule, 'accept']) : responses,
      },
      {
        name: 'forward',
        hook: behindPolicy('forward'),
        rules: [...requests, [toWorkload, 'jump responses'], [toWorkload, ...strangers]],
      },
      // Requests to a server on the node, and responses to the node itself.
      {
        name: 'input',
        hook: behindPolicy('input'),
        rules: [...requests, ['jump responses']],
      },
      {
        name: 'output',
        hook: behindPolicy('output'),
        rules: [
          [toWorkload, 'jump responses'],
          [toWorkload, ...strangers],
        ],
      },
    ],
  }
}
