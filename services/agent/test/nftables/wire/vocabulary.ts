import fc from 'fast-check'
import type { Elements, SetKind, TableChange } from '../../../src/nftables/wire/change.ts'

/** Every statement that rules are written with, in a rule where nft itself takes it. */
export const vocabulary: readonly (readonly string[])[] = [
  ['meta nfproto ipv4'],
  ['meta nfproto ipv6'],
  ['meta l4proto 6'],
  ['meta l4proto != 17'],
  ['meta l4proto @protocols'],
  ['meta l4proto != @protocols'],
  ['iifname "eth0"'],
  ['iifname != "cali*"'],
  ['iifname "a23456789012345"'],
  ['oifname "cali*"'],
  ['oifname != "lo"'],
  ['iifname vmap @by-interface'],
  ['oifname vmap @by-interface'],
  ['iifname @interfaces'],
  ['iifname . ip saddr @sources-4'],
  ['iifname . ip6 saddr != @sources-6'],
  ['ip saddr 10.0.0.1'],
  ['ip daddr != 10.0.0.1'],
  ['ip saddr 10.0.0.0/8'],
  ['ip saddr != 10.0.0.0/9'],
  ['ip daddr 10.1.16.0/20'],
  ['ip daddr 10.1.2.3/32'],
  ['ip saddr @h4'],
  ['ip daddr != @i4'],
  ['ip6 saddr fd00::1'],
  ['ip6 daddr != fd00::/65'],
  ['ip6 saddr fd00::/8'],
  ['ip6 saddr fd00:1:2:3::/64'],
  ['ip6 daddr @i6'],
  ['ip6 saddr != @h6'],
  ['ip saddr vmap @by-address-4'],
  ['ip6 daddr vmap @by-address-6'],
  ['ip daddr . meta l4proto . th dport @a4'],
  ['ip saddr . meta l4proto . th sport != @a4'],
  ['ip6 saddr . meta l4proto . th sport != @a6'],
  ['ip6 daddr . meta l4proto . th dport @a6'],
  ['meta l4proto . th dport @protocol-ports'],
  ['meta l4proto . th sport != @protocol-ports'],
  ['meta l4proto . th dport vmap @by-protocol-port'],
  ['th dport 80'],
  ['th sport != 80'],
  ['th dport 80-90'],
  ['th sport != 80-90'],
  ['th dport @ports'],
  ['th sport != @ports'],
  ['th dport vmap @by-port'],
  ['icmp type 8'],
  ['icmp code != 3'],
  ['icmp type @icmp-types'],
  ['icmpv6 type 128'],
  ['icmpv6 code != 1'],
  ['icmpv6 type != @icmpv6-types'],
  ['ct state established,related'],
  ['ct state new'],
  ['ct state invalid'],
  ['ct state established,related,new,invalid,untracked'],
  ['ct status dnat'],
  ['ct direction reply'],
  ['ct direction original'],
  ['ct original packets 1'],
  ['meta l4proto 17', 'ct original proto-dst 53'],
  ['ct original ip daddr 10.0.0.1'],
  ['ct original ip daddr 10.0.0.0/8'],
  ['ct original ip daddr @h4'],
  ['ct original ip6 daddr fd00::1'],
  ['ct original ip6 daddr @h6'],
  ['meta mark & 65536 == 0'],
  ['meta mark & 0x10000 != 0'],
  ['meta mark & 0x30000 == 0x10000'],
  ['meta mark & 0xfff80000 vmap @by-mark'],
  ['meta mark set meta mark & 0xfffcffff'],
  ['meta mark set meta mark | 131072'],
  ['meta mark set 5'],
  ['fib saddr . iif oif missing'],
  ['fib saddr type local'],
  ['fib daddr type local'],
  ['counter'],
  ['log prefix "margay"'],
  ['log prefix "API0|default|np|shop|web" group 1 snaplen 80'],
  ['log prefix "two words" group 3'],
  ['log prefix "calico-packet" level info'],
  ['limit rate 10/second'],
  ['limit rate 5/minute burst 7 packets'],
  ['jump other'],
  ['goto other'],
  ['return'],
  ['accept'],
  ['drop'],
  ['reject'],
  ['meta nfproto ipv4', 'reject'],
  ['meta nfproto ipv6', 'reject'],
  ['meta l4proto 6', 'reject with tcp reset'],
  ['reject with tcp reset'],
  ['notrack'],
  // Questions that nft puts itself, once in a rule.
  ['meta nfproto ipv4', 'meta l4proto 6', 'ip saddr @h4', 'ip daddr @i4', 'th dport @ports', 'counter', 'accept'],
  ['ip6 saddr @h6', 'icmpv6 type 128', 'accept'],
  ['icmp type 8', 'ip saddr @h4', 'accept'],
  ['meta l4proto 1', 'icmp type 8', 'drop'],
  // Questions that nft 1.0.6 would make one of, and a wrong one.
  ['th sport != 1', 'th dport != 2', 'accept'],
  ['icmp type != 8', 'icmp code != 1', 'accept'],
]

/** Every kind of set, with elements at the edges of its type. */
export const sets: readonly { name: string; kind: SetKind; spec: string; elements: Elements }[] = [
  { name: 'h4', kind: 'set', spec: 'type ipv4_addr;', elements: ['10.0.0.1', '0.0.0.0', '255.255.255.255'] },
  {
    name: 'h6',
    kind: 'set',
    spec: 'type ipv6_addr;',
    elements: ['fd00::1', '::', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4'],
  },
  {
    name: 'i4',
    kind: 'set',
    spec: 'type ipv4_addr; flags interval;',
    elements: ['11.0.0.1', '128.128.0.0/9', '10.0.0.0/8', '255.255.255.0/24', '0.0.0.0', '128.0.0.0/9'],
  },
  {
    name: 'i6',
    kind: 'set',
    spec: 'type ipv6_addr; flags interval;',
    elements: ['fd00::/8', 'ff00::/8', '2001:db8::1'],
  },
  {
    name: 'ports',
    kind: 'set',
    spec: 'type inet_service; flags interval;',
    elements: ['101-102', '80', '90-100', '65535', '0', '81'],
  },
  { name: 'every-address', kind: 'set', spec: 'type ipv4_addr; flags interval;', elements: ['0.0.0.0/0'] },
  { name: 'protocols', kind: 'set', spec: 'type inet_proto;', elements: ['6', '17', '132'] },
  { name: 'protocol-ranges', kind: 'set', spec: 'type inet_proto; flags interval;', elements: ['6', '17-20', '255'] },
  { name: 'interfaces', kind: 'set', spec: 'type ifname;', elements: ['"cali1"', '"a23456789012345"'] },
  {
    name: 'sources-4',
    kind: 'set',
    spec: 'type ifname . ipv4_addr;',
    elements: ['"cali1" . 10.0.0.1', '"a23456789012345" . 10.0.0.2'],
  },
  { name: 'sources-6', kind: 'set', spec: 'type ifname . ipv6_addr;', elements: ['"cali1" . fd00::1'] },
  { name: 'icmp-types', kind: 'set', spec: 'type icmp_type;', elements: ['8', '0'] },
  { name: 'icmpv6-types', kind: 'set', spec: 'type icmpv6_type;', elements: ['128', '135'] },
  {
    name: 'a4',
    kind: 'set',
    spec: 'type ipv4_addr . inet_proto . inet_service;',
    elements: ['10.0.0.1 . 6 . 80', '10.0.0.2 . 17 . 53'],
  },
  { name: 'a6', kind: 'set', spec: 'type ipv6_addr . inet_proto . inet_service;', elements: ['fd00::1 . 6 . 80'] },
  {
    name: 'ranges',
    kind: 'set',
    spec: 'type ipv4_addr . inet_proto . inet_service; flags interval;',
    elements: ['10.0.0.0/8 . 6 . 80-90', '11.0.0.1 . 17 . 53'],
  },
  { name: 'protocol-ports', kind: 'set', spec: 'type inet_proto . inet_service;', elements: ['6 . 80', '17 . 53'] },
  {
    name: 'protocol-port-ranges',
    kind: 'set',
    spec: 'type inet_proto . inet_service; flags interval;',
    elements: ['6 . 80-90', '17 . 53'],
  },
  {
    name: 'by-interface',
    kind: 'map',
    spec: 'type ifname : verdict;',
    elements: new Map([
      ['"cali1"', 'goto other'],
      ['"cali2"', 'drop'],
    ]),
  },
  { name: 'by-address-4', kind: 'map', spec: 'type ipv4_addr : verdict;', elements: new Map([['1.2.3.4', 'return']]) },
  { name: 'by-address-6', kind: 'map', spec: 'type ipv6_addr : verdict;', elements: new Map([['fd00::2', 'accept']]) },
  {
    name: 'by-port',
    kind: 'map',
    spec: 'type inet_service : verdict; flags interval;',
    elements: new Map([
      ['80', 'accept'],
      ['90-100', 'jump other'],
    ]),
  },
  {
    name: 'by-mark',
    kind: 'map',
    spec: 'type mark : verdict;',
    elements: new Map([['0x00080000', 'goto other']]),
  },
  {
    name: 'by-protocol-port',
    kind: 'map',
    spec: 'type inet_proto . inet_service : verdict;',
    elements: new Map([['6 . 80', 'drop']]),
  },
  {
    name: 'by-network-port',
    kind: 'map',
    spec: 'type ipv4_addr . inet_service : verdict; flags interval;',
    elements: new Map([['1.0.0.0/8 . 80', 'drop']]),
  },
]

/** Chains on hooks, under all of their names. */
export const hooks: readonly string[] = [
  'type filter hook prerouting priority raw; policy accept;',
  'type filter hook prerouting priority mangle; policy accept;',
  'type filter hook input priority filter; policy accept;',
  'type filter hook forward priority filter; policy drop;',
  'type filter hook output priority filter; policy accept;',
  'type filter hook postrouting priority mangle; policy accept;',
  'type filter hook forward priority filter + 5; policy accept;',
  'type filter hook forward priority 77; policy accept;',
]

/** A new table with all sets and hooks, the chain `rules` with what is given, and the chain `other`. */
export function wholeTable(rules: readonly (readonly string[])[]): TableChange[] {
  return [
    { type: 'table', op: 'add' },
    { type: 'chain', op: 'add', chain: 'rules', hook: null },
    { type: 'chain', op: 'add', chain: 'other', hook: null },
    ...hooks.map((hook, index): TableChange => ({ type: 'chain', op: 'add', chain: `base-${index}`, hook })),
    ...sets.flatMap(({ name, kind, spec, elements }): TableChange[] => [
      { type: 'set', op: 'add', kind, set: name, spec },
      { type: 'elements', op: 'add', kind, set: name, spec, elements },
    ]),
    { type: 'rules', chain: 'rules', rules },
  ]
}

const choose = (...list: string[]) => fc.constantFrom(...list)
const not = choose('', '!= ')
const octet = fc.nat(255)
const ipv4 = fc.tuple(octet, octet, octet, octet).map((bytes) => bytes.join('.'))
const networkV4 = fc.tuple(octet, fc.integer({ min: 1, max: 32 })).map(([byte, length]) => `${byte}.0.0.0/${length}`)
const ipv6 = fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([a, b]) => `fd00:${a.toString(16)}::${b.toString(16)}`)
const port = fc.nat(65_535)
const ports = fc.oneof(
  port.map(String),
  fc.tuple(fc.nat(30_000), fc.integer({ min: 1, max: 30_000 })).map(([first, more]) => `${first}-${first + more}`),
)
const side = choose('saddr', 'daddr')
const portSide = choose('sport', 'dport')
const mark = fc.nat(0xffffffff).map(String)
const glue = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(''))

const anyFamily = fc.oneof(
  glue(choose('iifname ', 'oifname '), not, choose('"eth0"', '"cali*"', '"x"')),
  glue(fc.constant('meta l4proto '), not, choose('@protocols')),
  glue(fc.constant('th '), portSide, fc.constant(' '), not, fc.oneof(ports, choose('@ports'))),
  glue(fc.constant('meta l4proto . th '), portSide, fc.constant(' '), not, choose('@protocol-ports')),
  glue(fc.constant('meta mark & '), mark, choose(' == ', ' != '), mark),
  choose(
    'ct state new',
    'ct state established,related',
    'ct status dnat',
    'ct direction reply',
    'ct original packets 1',
  ),
  choose('fib saddr . iif oif missing', 'fib daddr type local'),
)
const ofIpv4 = glue(fc.constant('ip '), side, fc.constant(' '), not, fc.oneof(ipv4, networkV4, choose('@h4', '@i4')))
const ofIpv6 = glue(fc.constant('ip6 '), side, fc.constant(' '), not, fc.oneof(ipv6, choose('@h6', '@i6')))
const actions = fc.oneof(
  choose('accept', 'drop', 'return', 'jump other', 'goto other', 'notrack', 'reject'),
  glue(fc.constant('meta mark set meta mark '), choose('& ', '| '), mark),
  fc
    .tuple(fc.stringMatching(/^[A-Za-z0-9|._-]{1,127}$/), fc.nat(65_535), fc.integer({ min: 1, max: 256 }))
    .map(([prefix, group, snaplen]) => `log prefix "${prefix}" group ${group} snaplen ${snaplen}`),
  fc
    .tuple(fc.integer({ min: 1, max: 1000 }), choose('second', 'minute'), fc.integer({ min: 1, max: 100 }))
    .map(([rate, unit, burst]) => `limit rate ${rate}/${unit} burst ${burst} packets`),
)

/** nft joins two questions about ports into one about four bytes, and then cannot list them by name. */
const joined = (rule: readonly string[]) => rule.filter((statement) => /^th [sd]port \d+$/.test(statement)).length > 1

/** Random rules that nft takes: of one family, a few questions and an action. */
export const randomRule = fc
  .tuple(fc.array(anyFamily, { maxLength: 3 }), fc.array(choose('4', '6'), { maxLength: 1 }), fc.boolean(), actions)
  .chain(([general, [family], explicit, action]) => {
    const about = family === undefined ? fc.constant([]) : fc.array(family === '4' ? ofIpv4 : ofIpv6, { maxLength: 2 })
    return about.map((matches) => [
      ...(family !== undefined && explicit ? [`meta nfproto ipv${family}`] : []),
      ...matches,
      ...general,
      action,
    ])
  })
  .filter((rule) => !joined(rule))
