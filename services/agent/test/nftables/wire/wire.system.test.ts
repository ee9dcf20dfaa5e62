import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { MargayError } from '@margay/kit/errors'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { TableChange } from '../../../src/nftables/wire/change.ts'
import { createCommandWriter } from '../../../src/nftables/wire/command-writer.ts'
import { createNetlinkWriter, type NetlinkWriter, openTables } from '../../../src/nftables/wire/netlink-writer.ts'
import { printScript } from '../../../src/nftables/wire/print.ts'
import type { Refusal } from '../../../src/nftables/wire/refusal.ts'
import { createTableWriter, type TableWriter } from '../../../src/nftables/wire/table-writer.ts'
import { whyNot } from '../../node.ts'
import { parseScript } from './script.ts'
import { hooks, randomRule, sets, vocabulary, wholeTable } from './vocabulary.ts'

const reason = whyNot()
if (reason !== null) console.warn(`nftables wire system test skipped: ${reason}`)
const isNightly = process.env.MARGAY_NIGHTLY === '1'

describe.skipIf(reason !== null)('a table written over netlink', { timeout: isNightly ? 300_000 : 60_000 }, () => {
  const netns = `mgy-wire-${process.pid}`
  let netlink: NetlinkWriter
  let writer: TableWriter
  const nft = (args: readonly string[], input?: string) =>
    execFileSync('ip', ['netns', 'exec', netns, 'nft', ...args], {
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      maxBuffer: 1 << 30,
      ...(input === undefined ? {} : { input }),
    })
  /** The table as nft lists it, without its name. */
  const listing = (table: string) => nft(['list', 'table', 'inet', table]).replace(`table inet ${table} {`, 'table {')
  const byNft = (changes: readonly TableChange[]) => nft(['-f', '-'], printScript('text', changes).text)

  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', netns])
    netlink = createNetlinkWriter({ netns, table: 'wire' })
    writer = createTableWriter({ netns, table: 'wire' }, { warn: () => {} })
  })
  beforeEach(() => void nft(['flush', 'ruleset']))
  afterAll(() => {
    netlink.close()
    writer.close()
    execFileSync('ip', ['netns', 'del', netns])
  })

  function refusalOf(changes: readonly TableChange[]): Refusal {
    const before = nft(['list', 'ruleset'])
    try {
      netlink.commit(changes)
    } catch (error) {
      expect(error).toBeInstanceOf(MargayError)
      const { code, message, details } = error as MargayError
      expect(code).toBe('NFT_REFUSED')
      const [first] = details.refusals as Refusal[]
      expect(message).toContain(first?.object)
      expect(nft(['list', 'ruleset'])).toBe(before)
      return first as Refusal
    }
    throw new Error('the kernel took it')
  }

  test('is listed by nft as if nft had written it, for every statement, every kind of set and every hook', () => {
    const changes = wholeTable(vocabulary)
    netlink.commit(changes)
    byNft(changes)
    expect(listing('wire')).toBe(listing('text'))
    expect(listing('wire').match(/^\t\t\S/gm)?.length).toBeGreaterThan(vocabulary.length)
  })

  test('is listed as if nft had written it for random rules', () => {
    fc.assert(
      fc.property(fc.array(randomRule, { minLength: 20, maxLength: 60 }), (rules) => {
        nft(['flush', 'ruleset'])
        const changes = wholeTable(rules)
        netlink.commit(changes)
        byNft(changes)
        expect(listing('wire')).toBe(listing('text'))
      }),
      { numRuns: isNightly ? 300 : 12 },
    )
  })

  test.each(['two-tiers', 'host-endpoints'])('holds the rendered ruleset %s as nft reads it', (name) => {
    const script = readFileSync(new URL(`../${name}.nft`, import.meta.url), 'utf8')
    const changes = parseScript(script)
    netlink.commit(changes)
    nft(['-f', '-'], script.replaceAll('inet margay', 'inet text'))
    expect(listing('wire')).toBe(listing('text'))
  })

  test('is listed with its hooks, and with the specs of its sets; not there, it has none', async () => {
    expect(await writer.list()).toEqual({ chains: new Map(), sets: new Map() })
    const before = writer.generation()
    netlink.commit(wholeTable([]))
    expect(writer.generation()).toBeGreaterThan(before)
    byNft(wholeTable([]))
    const listed = await writer.list()
    expect(listed).toEqual({
      chains: new Map<string, { hook: string | null }>([
        ['rules', { hook: null }],
        ['other', { hook: null }],
        ...hooks.map((hook, index) => [`base-${index}`, { hook }] as const),
      ]),
      sets: new Map(sets.map(({ name, kind, spec }) => [name, { kind, spec }])),
    })
    expect(await createCommandWriter({ netns, table: 'text' }).list()).toEqual(listed)
  })

  test('changes as a whole: elements come and go, chains are written again, what is not used goes', () => {
    netlink.commit(wholeTable(vocabulary))
    const changes: TableChange[] = [
      { type: 'chain', op: 'flush', chain: 'rules' },
      { type: 'rules', chain: 'rules', rules: [['ip saddr @h4', 'accept']] },
      ...sets.flatMap(({ name, kind, spec, elements }, index): TableChange[] => [
        index % 2 === 0
          ? { type: 'elements', op: 'delete', kind, set: name, spec, elements }
          : { type: 'set', op: 'flush', kind, set: name },
      ]),
      ...sets
        .filter(({ name }) => name !== 'h4')
        .map(({ name, kind }): TableChange => ({ type: 'set', op: 'delete', kind, set: name })),
      { type: 'chain', op: 'delete', chain: 'other' },
    ]
    netlink.commit(changes)
    byNft([...wholeTable(vocabulary), ...changes])
    expect(listing('wire')).toBe(listing('text'))
    expect(listing('wire')).toContain('ip saddr @h4 accept')
    netlink.commit([{ type: 'table', op: 'delete' }])
    expect(nft(['list', 'tables'])).not.toContain('wire')
  })

  test('takes elements of one set at once, and refuses those it cannot take', () => {
    netlink.commit(wholeTable([]))
    const set = { kind: 'set', set: 'h4', spec: 'type ipv4_addr;' } as const
    netlink.elements(set, 'add', ['1.1.1.1', '2.2.2.2'])
    netlink.elements(set, 'delete', ['1.1.1.1', '0.0.0.0'])
    expect(nft(['list', 'set', 'inet', 'wire', 'h4'])).toMatch(
      /elements = \{ 2\.2\.2\.2, 10\.0\.0\.1,\s+255\.255\.255\.255 \}/,
    )
    expect(() => netlink.elements(set, 'delete', ['2.2.2.2', '9.9.9.9'])).toThrow('element 9.9.9.9 of set h4')
    expect(nft(['list', 'set', 'inet', 'wire', 'h4'])).toContain('2.2.2.2')
  })

  test('finds packets in intervals that came one by one, touch each other, and reach to both ends', () => {
    execFileSync('ip', ['-n', netns, 'link', 'set', 'lo', 'up'])
    const ports = { kind: 'set', set: 'some', spec: 'type inet_service; flags interval;' } as const
    const networks = { kind: 'set', set: 'near', spec: 'type ipv4_addr; flags interval;' } as const
    netlink.commit([
      { type: 'table', op: 'add' },
      { type: 'set', op: 'add', ...ports },
      { type: 'set', op: 'add', ...networks },
      { type: 'elements', op: 'add', ...networks, elements: ['127.0.0.0/9', '127.128.0.0/10', '224.0.0.0/3'] },
      { type: 'chain', op: 'add', chain: 'out', hook: 'type filter hook output priority filter; policy accept;' },
      { type: 'chain', op: 'add', chain: 'port-in', hook: null },
      { type: 'chain', op: 'add', chain: 'both-in', hook: null },
      { type: 'rules', chain: 'port-in', rules: [['ip daddr @near', 'goto both-in'], ['counter']] },
      { type: 'rules', chain: 'both-in', rules: [['counter']] },
      { type: 'rules', chain: 'out', rules: [['meta l4proto 17', 'th dport @some', 'jump port-in']] },
    ])
    for (const range of ['101-102', '80', '90-100', '65535', '1-5', '81']) netlink.elements(ports, 'add', [range])
    netlink.elements(ports, 'delete', ['80'])
    const sent = [1, 5, 6, 79, 80, 81, 82, 89, 90, 95, 100, 101, 102, 103, 65534, 65535]
    const inSet = [1, 5, 81, 90, 95, 100, 101, 102, 65535].length
    const script = ['127.0.0.1', '127.191.1.1', '127.192.0.1']
      .flatMap((ip) => sent.map((port) => `echo > /dev/udp/${ip}/${port}`))
      .join(';')
    execFileSync('ip', ['netns', 'exec', netns, 'bash', '-c', `(${script}) 2>/dev/null`])
    expect(nft(['list', 'chain', 'inet', 'wire', 'both-in'])).toContain(`counter packets ${inSet * 2} `)
    expect(nft(['list', 'chain', 'inet', 'wire', 'port-in'])).toContain(`counter packets ${inSet} `)
  })

  test('names what the kernel refused, why, and whose it is; and is as it was', () => {
    netlink.commit(wholeTable(vocabulary))
    const cause = 'np:shop/web'
    expect(
      refusalOf([{ type: 'rules', chain: 'rules', rules: [['counter'], ['jump nowhere'], ['drop']], cause }]),
    ).toMatchObject({
      object: 'rule "jump nowhere" of chain rules',
      cause,
      change: 0,
      reason: expect.stringContaining('ENOENT'),
    })
    const long = `log prefix "${'x'.repeat(128)}" group 1 snaplen 80`
    expect(
      refusalOf([
        { type: 'chain', op: 'add', chain: 'new', hook: null },
        { type: 'rules', chain: 'new', rules: [[long]], cause },
      ]),
    ).toMatchObject({
      object: `rule "${long}" of chain new`,
      cause,
      change: 1,
      reason: expect.stringContaining('ERANGE'),
    })
    const interval = {
      type: 'elements',
      op: 'add',
      kind: 'set',
      set: 'i4',
      spec: 'type ipv4_addr; flags interval;',
    } as const
    expect(refusalOf([{ ...interval, elements: ['5.0.0.0/8', '10.1.0.0/16'], cause }])).toMatchObject({
      object: 'element 10.1.0.0/16 of set i4',
      cause,
      reason: expect.stringContaining('EEXIST'),
    })
    expect(refusalOf([{ type: 'rules', chain: 'rules', rules: [['ip saddr @nowhere', 'drop']], cause }])).toMatchObject(
      {
        reason: expect.stringContaining('ENOENT'),
      },
    )
    expect(
      refusalOf([
        {
          type: 'elements',
          op: 'add',
          kind: 'map',
          set: 'by-interface',
          spec: 'type ifname : verdict;',
          elements: new Map([
            ['"cali3"', 'drop'],
            ['"cali1"', 'drop'],
          ]),
        },
      ]),
    ).toMatchObject({ object: 'element "cali1" of map by-interface', cause: null })
    expect(refusalOf([{ type: 'chain', op: 'delete', chain: 'other', cause }])).toMatchObject({
      reason: expect.stringContaining('EBUSY'),
    })
    expect(
      refusalOf([
        { type: 'rules', chain: 'base-0', rules: [['jump other']] },
        { type: 'rules', chain: 'other', rules: [['jump other']], cause },
      ]),
    ).toMatchObject({ reason: expect.stringMatching(/EMLINK|ELOOP/) })
    expect(
      refusalOf([{ type: 'set', op: 'add', kind: 'set', set: 'h4', spec: 'type ipv6_addr;', cause }]),
    ).toMatchObject({ object: 'set h4' })
  })

  test('the nft command refuses the same, and names it too', async () => {
    const command = createCommandWriter({ netns, table: 'text' })
    await command.commit(wholeTable(vocabulary))
    const before = listing('text')
    const refused = (changes: readonly TableChange[]) =>
      expect(command.commit(changes)).rejects.toMatchObject({ code: 'NFT_REFUSED', details: { cause: 'np:shop/web' } })
    const cause = 'np:shop/web'
    await refused([
      { type: 'chain', op: 'add', chain: 'new', hook: null },
      { type: 'rules', chain: 'new', rules: [['counter'], ['jump nowhere']], cause },
    ])
    await refused([{ type: 'rules', chain: 'rules', rules: [[`log prefix "${'x'.repeat(128)}"`]], cause }])
    expect(listing('text')).toBe(before)
  })

  test('takes 32,000 rules in one transaction', () => {
    const chains = 4000
    const names = Array.from({ length: chains }, (_, index) => `policy-${index}`)
    netlink.commit([
      ...wholeTable([]),
      ...names.map((chain): TableChange => ({ type: 'chain', op: 'add', chain, hook: null })),
      ...names.map(
        (chain, index): TableChange => ({
          type: 'rules',
          chain,
          rules: Array.from({ length: 8 }, (_, rule) => [
            'ip saddr @h4',
            'th dport @ports',
            `log prefix "API${rule}|default|np|shop|policy-${index}" group 1 snaplen 80`,
            'accept',
          ]),
        }),
      ),
    ])
    expect(nft(['list', 'chain', 'inet', 'wire', 'policy-3999']).match(/log prefix/g)).toHaveLength(8)
  })

  test('a transaction that the kernel finds too large goes to the nft command, whole', async () => {
    const warnings: unknown[] = []
    const small = createTableWriter(
      { netns, table: 'wire' },
      {
        warn: (fields, message) => void warnings.push([fields, message]),
        // As where the system's limit stands, because the process may not go beyond it.
        open: () => ({ ...openTables(netns), growSendBuffer() {} }),
      },
    )
    try {
      await small.commit(wholeTable([['counter']]))
      expect(warnings).toEqual([])
      const rules = Array.from({ length: 4000 }, () => ['ip saddr @h4', 'log prefix "large"', 'accept'])
      await small.commit([{ type: 'rules', chain: 'rules', rules }])
      expect(warnings).toEqual([
        [{ table: 'wire', error: expect.stringContaining('errno 90') }, 'transaction given to the nft command'],
      ])
      expect(nft(['list', 'chain', 'inet', 'wire', 'rules']).match(/large/g)).toHaveLength(4000)
    } finally {
      small.close()
    }
  })

  test('a change of more elements than one message takes is still one transaction', () => {
    netlink.commit(wholeTable([]))
    const set = { kind: 'set', set: 'i4', spec: 'type ipv4_addr; flags interval;' } as const
    const blocks = Array.from({ length: 8000 }, (_, index) => `20.${index >> 8}.${index & 255}.0/25`)
    expect(refusalOf([{ type: 'elements', op: 'add', ...set, elements: [...blocks, '10.1.0.0/16'] }])).toMatchObject({
      object: 'element 10.1.0.0/16 of set i4',
    })
    netlink.commit([{ type: 'elements', op: 'add', ...set, elements: blocks }])
    expect(nft(['list', 'set', 'inet', 'wire', 'i4']).match(/(?<![\d.])20\.\d/g)).toHaveLength(8000)
    netlink.commit([{ type: 'elements', op: 'delete', ...set, elements: blocks }])
    expect(nft(['list', 'set', 'inet', 'wire', 'i4'])).not.toMatch(/(?<![\d.])20\.\d/)
  })

  test('packets are queued whether the kernel has a statement for it or not', () => {
    const queueing = createNetlinkWriter({ netns, table: 'wire-queue' })
    try {
      queueing.commit([
        { type: 'table', op: 'add' },
        { type: 'chain', op: 'add', chain: 'out', hook: 'type filter hook output priority filter; policy accept;' },
        { type: 'rules', chain: 'out', rules: [['meta l4proto 17', 'th dport 53', 'queue num 7 bypass']] },
      ])
      expect(['native', 'target']).toContain(queueing.queueForm)
      if (queueing.queueForm === 'native')
        expect(nft(['list', 'chain', 'inet', 'wire-queue', 'out'])).toMatch(/queue .*7/)
      else expect(() => nft(['-c', 'add rule inet wire-queue out queue num 7 bypass'])).toThrow()
      expect(nft(['--debug=netlink', 'list', 'table', 'inet', 'wire-queue'])).toMatch(/queue num 7|target name NFQUEUE/)
    } finally {
      queueing.close()
    }
  })

  test('is asked for, and changes nothing', () => {
    netlink.check(wholeTable(vocabulary))
    expect(nft(['list', 'tables'])).toBe('')
    expect(() => netlink.check([{ type: 'chain', op: 'flush', chain: 'rules' }])).toThrow('chain rules')
  })
})
