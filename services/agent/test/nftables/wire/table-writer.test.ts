import { MargayError } from '@margay/kit/errors'
import { expect, test } from 'vitest'
import type { TableChange } from '../../../src/nftables/wire/change.ts'
import type { CommandWriter } from '../../../src/nftables/wire/command-writer.ts'
import { printScript } from '../../../src/nftables/wire/print.ts'
import { createTableWriter, type WriterMode } from '../../../src/nftables/wire/table-writer.ts'
import { wholeTable } from './vocabulary.ts'

const changes: readonly TableChange[] = [{ type: 'table', op: 'add' }]
const set = { kind: 'set', set: 's', spec: 'type ipv4_addr;' } as const

/** A writer whose netlink fails as told, and whose command keeps what it was given. */
function failing(details: { call: string; errno?: number }, mode: WriterMode = 'auto') {
  const warnings: string[] = []
  const given: TableChange[] = []
  const fail = () => {
    throw new MargayError('NETLINK_FAILED', `${details.call} failed`, { details })
  }
  const command: CommandWriter = {
    commit: async (list) => void given.push(...list),
    list: async () => ({ chains: new Map([['by-command', { hook: null }]]), sets: new Map() }),
  }
  const open = () =>
    details.call === 'socket'
      ? fail()
      : {
          largeBuffer: true,
          fd: -1,
          send: details.call === 'send' ? fail : () => {},
          growSendBuffer() {},
          request() {},
          receive: fail,
          close() {},
        }
  const writer = createTableWriter(
    { netns: null, table: 't', mode },
    { warn: (_, message) => void warnings.push(message), open, command },
  )
  return { writer, warnings, given }
}

test('where netlink is not to be had the nft command takes over, and it is told once', async () => {
  const { writer, warnings, given } = failing({ call: 'socket', errno: 93 })
  await writer.commit(changes)
  await writer.elements(set, 'add', ['1.1.1.1'])
  expect(writer.form).toBe('command')
  expect(given).toEqual([...changes, { type: 'elements', op: 'add', ...set, elements: ['1.1.1.1'] }])
  expect(warnings).toEqual(['netlink not usable, the nft command is used'])
  expect([...(await writer.list()).chains.keys()]).toEqual(['by-command'])
})

test('a transaction that is too large for netlink goes to the command whole; the next goes by netlink again', async () => {
  const { writer, warnings, given } = failing({ call: 'send', errno: 90 })
  await writer.commit(changes)
  expect(given).toEqual(changes)
  expect(writer.form).toBe('netlink')
  expect(warnings).toEqual(['transaction given to the nft command'])
})

test('what may have been done is not done again by the command', async () => {
  const { writer, given } = failing({ call: 'recv', errno: 9 })
  await expect(writer.commit(changes)).rejects.toThrow('recv failed')
  expect(given).toEqual([])
})

test('netlink alone fails where it is not to be had; the command alone does not ask it', async () => {
  await expect(failing({ call: 'socket' }, 'netlink').writer.commit(changes)).rejects.toThrow('socket failed')
  const { writer, warnings, given } = failing({ call: 'socket' }, 'command')
  await writer.commit(changes)
  expect(given).toEqual(changes)
  expect(warnings).toEqual([])
})

test('every line of a script knows what it is about', () => {
  const all = [...wholeTable([['counter'], ['drop']]), { type: 'set', op: 'flush', kind: 'map', set: 'm' } as const]
  const { text, places } = printScript('t', all)
  const lines = text.trimEnd().split('\n')
  expect(places).toHaveLength(lines.length)
  expect(lines[0]).toBe('add table inet t')
  expect(lines.at(-2)).toBe('add rule inet t rules drop')
  expect(places.at(-2)).toEqual([all.length - 2, 1])
  expect(lines.at(-1)).toBe('flush map inet t m')
  expect(printScript('t', []).text).toBe('')
})
