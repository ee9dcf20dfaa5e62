import type { AttributeWriter } from './attribute-writer.ts'
import { bitwise, expression, loadMeta, loadValue, metaKeys, parseVerdict, storeMeta, verdict } from './expression.ts'
import { parseNumber } from './key-type.ts'
import { markBytes } from './match-statements.ts'
import { families } from './protocol.ts'
import type { QueueForm, StatementForm } from './statement.ts'

/** Statements that do something: verdicts, marks, log, counters, limits, refusals, queues. */

const verdictForm: StatementForm = {
  form: /^(?<text>accept|drop|return|(?:jump|goto) \S+)$/,
  write(writer, { text }) {
    const parsed = parseVerdict(text as string)
    if (parsed === null) return null
    verdict(writer, parsed.code, parsed.chain)
    return {}
  },
}

const markForms: StatementForm[] = [
  {
    form: /^meta mark set (?<value>\w+)$/,
    write(writer, groups) {
      const value = parseNumber(groups.value as string, 0xffffffff)
      if (value === null) return null
      loadValue(writer, markBytes(value))
      storeMeta(writer, metaKeys.mark)
      return {}
    },
  },
  {
    form: /^meta mark set meta mark (?<operator>[&|]) (?<value>\w+)$/,
    write(writer, groups) {
      const value = parseNumber(groups.value as string, 0xffffffff)
      if (value === null) return null
      loadMeta(writer, metaKeys.mark)
      if (groups.operator === '&') bitwise(writer, markBytes(value), markBytes(0))
      else bitwise(writer, markBytes(~value >>> 0), markBytes(value))
      storeMeta(writer, metaKeys.mark)
      return {}
    },
  },
]

/** Levels of the system log (syslog(3)), and the audit log. */
const levels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug', 'audit']

const logForm: StatementForm = {
  form: /^log prefix "(?<prefix>[^"]*)"(?:(?: level (?<level>[a-z]+))|(?: group (?<group>\d+))(?: snaplen (?<snaplen>\d+))?)?$/,
  write(writer, { prefix, level, group, snaplen }) {
    const number = group === undefined ? undefined : parseNumber(group, 0xffff)
    const length = snaplen === undefined ? undefined : parseNumber(snaplen, 0xffffffff)
    const severity = level === undefined ? undefined : levels.indexOf(level)
    if (number === null || length === null || severity === -1) return null
    expression(writer, 'log', () => {
      writer.text(2, prefix as string)
      if (number !== undefined) writer.u16(1, number)
      if (length !== undefined) writer.u32(3, length)
      if (severity !== undefined) writer.u32(5, severity)
    })
    return {}
  },
}

const seconds: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3600, day: 86_400 }
/** Packets let through at once when the statement does not say, as nft has it. */
const usualBurst = 5

const limitForm: StatementForm = {
  form: /^limit rate (?<rate>\d+)\/(?<unit>second|minute|hour|day)(?: burst (?<burst>\d+) packets)?$/,
  write(writer, { rate, unit, burst }) {
    const count = parseNumber(rate as string, 0xffffffff)
    const most = burst === undefined ? usualBurst : parseNumber(burst, 0xffffffff)
    if (count === null || most === null || count === 0 || most === 0) return null
    expression(writer, 'limit', () => {
      writer.u64(1, BigInt(count))
      writer.u64(2, BigInt(seconds[unit as string] as number))
      writer.u32(3, most)
      writer.u32(4, 0)
      writer.u32(5, 0)
    })
    return {}
  },
}

/** Kinds of refusal (linux/netfilter/nf_tables.h), and the codes that say "port unreachable" in each. */
const rejections = { icmp: 0, tcpReset: 1, anyIcmp: 2 } as const
const portUnreachable = { any: 1, ipv4: 3, ipv6: 4 } as const

function reject(writer: AttributeWriter, kind: number, code: number): void {
  expression(writer, 'reject', () => {
    writer.u32(1, kind)
    writer.u8(2, code)
  })
}

const rejectForms: StatementForm[] = [
  {
    form: /^reject$/,
    write(writer) {
      reject(writer, rejections.anyIcmp, portUnreachable.any)
      return {}
    },
    byFamily: (writer, family) =>
      reject(writer, rejections.icmp, family === families.ipv4 ? portUnreachable.ipv4 : portUnreachable.ipv6),
  },
  {
    form: /^reject with tcp reset$/,
    write(writer) {
      reject(writer, rejections.tcpReset, 0)
      return { protocol: 6 }
    },
  },
]

/** Without a listener the packet passes instead of being dropped. */
const queueBypass = 1

function queueForm(kind: QueueForm): StatementForm {
  return {
    form: /^queue num (?<number>\d+)(?<bypass> bypass)?$/,
    write(writer, groups) {
      const number = parseNumber(groups.number as string, 0xffff)
      if (number === null) return null
      const flags = groups.bypass === undefined ? 0 : queueBypass
      if (kind === 'native') {
        expression(writer, 'queue', () => {
          writer.u16(1, number)
          writer.u16(2, 1)
          writer.u16(3, flags)
        })
      } else {
        // struct xt_NFQ_info_v3 of linux/netfilter/xt_NFQUEUE.h, in the order of the machine, padded to eight bytes.
        const info = Buffer.alloc(8)
        info.writeUInt16LE(number, 0)
        info.writeUInt16LE(1, 2)
        info.writeUInt16LE(flags, 4)
        expression(writer, 'target', () => {
          writer.text(1, 'NFQUEUE')
          writer.u32(2, 3)
          writer.bytes(3, info)
        })
      }
      return {}
    },
  }
}

const plain = (name: 'counter' | 'notrack', data?: () => void): StatementForm => ({
  form: new RegExp(`^${name}$`),
  write(writer) {
    expression(writer, name, data)
    return {}
  },
})

/** Forms by the first word of the statement. */
export const actionForms = (queue: QueueForm): readonly [string, readonly StatementForm[]][] => [
  ...['accept', 'drop', 'return', 'jump', 'goto'].map((word): [string, StatementForm[]] => [word, [verdictForm]]),
  ['meta', markForms],
  ['log', [logForm]],
  ['limit', [limitForm]],
  ['reject', rejectForms],
  ['queue', [queueForm(queue)]],
  // A counter without values starts at zero; its attributes are there, and empty.
  ['counter', [plain('counter', () => {})]],
  ['notrack', [plain('notrack')]],
]
