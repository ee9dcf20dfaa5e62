import { messageOf } from '@margay/kit/errors'
import { decodeAttributes, decodeMessages, encodeRequest, flags, genericHeaderSize, types } from '../netlink/message.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import type { TableChange } from '../nftables/wire/change.ts'
import type { NetlinkWriter } from '../nftables/wire/netlink-writer.ts'
import { families, messages, ruleAttributes } from '../nftables/wire/protocol.ts'
import { dnsRules, dnsTable } from './dns-rules.ts'
import type { DnsServer } from './trusted-servers.ts'

/** The kernel's table of rules that show DNS packets, as the thread keeps it. */
export interface DnsTable {
  /** Writes all of it; `queue` is null when responses are not held. Throws NFT_REFUSED and leaves what was there. */
  install(servers: readonly DnsServer[], queue: number | null): void
  /** Null when this kernel can hold packets in a queue, else why not. */
  whyNoQueue(queue: number): string | null
  /** False when somebody changed its rules, or took them away. */
  isIntact(): boolean
  remove(): void
}

/** Makes the keeper of the table; `writer` is the table's own. */
export function createDnsTable(deps: { readonly writer: NetlinkWriter; readonly socket: NetlinkSocket }): DnsTable {
  const { writer, socket } = deps
  let sets: readonly string[] | null = null
  let sequence = 0
  let handles = ''

  return {
    install(servers, queue) {
      const wanted = dnsRules(servers, queue)
      const before: TableChange[] = [{ type: 'table', op: 'add' }]
      // What an agent before this one left is not known, and without an agent nobody misses it.
      if (sets === null) before.push({ type: 'table', op: 'delete' }, { type: 'table', op: 'add' })
      const change: TableChange[] = []
      for (const { name, spec, elements } of wanted.sets) {
        const own = { kind: 'set', set: name, spec } as const
        before.push({ type: 'set', op: 'add', ...own }, { type: 'elements', op: 'add', ...own, elements })
        change.push(
          { type: 'set', op: 'flush', kind: 'set', set: name },
          { type: 'elements', op: 'add', ...own, elements },
        )
      }
      for (const { name, hook } of wanted.chains) change.push({ type: 'chain', op: 'add', chain: name, hook })
      for (const { name, rules } of wanted.chains)
        change.push({ type: 'chain', op: 'flush', chain: name }, { type: 'rules', chain: name, rules })
      const names = wanted.sets.map(({ name }) => name)
      const idle = (sets ?? []).filter((name) => !names.includes(name))
      for (const name of idle) change.push({ type: 'set', op: 'delete', kind: 'set', set: name })
      writer.check([...before, ...change])
      // Sets come before the rules that use them, or packets in between would find them empty.
      writer.commit(before)
      sets = [...names, ...idle]
      writer.commit(change)
      sets = names
      handles = readHandles()
    },
    whyNoQueue(queue) {
      try {
        writer.check([
          { type: 'table', op: 'add' },
          { type: 'chain', op: 'add', chain: 'probe', hook: null },
          { type: 'rules', chain: 'probe', rules: [[`queue num ${queue} bypass`]] },
        ])
        return null
      } catch (error) {
        return `the kernel has no queue for packets: ${messageOf(error)}`
      }
    },
    isIntact: () => handles === readHandles(),
    remove() {
      sets = null
      handles = ''
      writer.commit([
        { type: 'table', op: 'add' },
        { type: 'table', op: 'delete' },
      ])
    },
  }

  /** The numbers of the table's rules, which are never given twice. */
  function readHandles(): string {
    sequence += 1
    socket.send(
      encodeRequest({
        type: messages.getRule,
        flags: flags.request | flags.dump,
        sequence,
        family: families.inet,
        resource: 0,
        attributes: [[ruleAttributes.table, Buffer.from(`${dnsTable}\0`)]],
      }),
    )
    const found: string[] = []
    for (let silence = 0; silence < 10; ) {
      const datagram = socket.receive()
      if (datagram === null || datagram === 'overrun') {
        silence += 1
        continue
      }
      for (const message of decodeMessages(datagram)) {
        if (message.sequence !== sequence) continue
        if (message.type === types.done || message.type === types.error) return found.join(' ')
        const handle = decodeAttributes(message.payload, genericHeaderSize).get(ruleAttributes.handle)
        if (handle !== undefined) found.push(handle.toString('hex'))
      }
    }
    return found.join(' ')
  }
}
