import { formatIp } from '../netlink/conntrack.ts'
import { readName } from './name.ts'

/** Mnemonics of record types (IANA "Resource Record (RR) TYPEs"); others are told by number. */
const typeNames: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  17: 'RP',
  24: 'SIG',
  25: 'KEY',
  28: 'AAAA',
  29: 'LOC',
  33: 'SRV',
  35: 'NAPTR',
  39: 'DNAME',
  41: 'OPT',
  43: 'DS',
  44: 'SSHFP',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  50: 'NSEC3',
  52: 'TLSA',
  64: 'SVCB',
  65: 'HTTPS',
  99: 'SPF',
  252: 'AXFR',
  255: 'ANY',
  256: 'URI',
  257: 'CAA',
}

/** Mnemonic of a record type. */
export const typeName = (type: number) => typeNames[type] ?? String(type)

const classNames: Readonly<Record<number, string>> = { 1: 'IN', 3: 'CH', 4: 'HS', 254: 'NONE', 255: 'ANY' }

/** Mnemonic of a class. */
export const className = (number: number) => classNames[number] ?? String(number)

/** A record's data as zone files write it; hexadecimal digits when it is of a type, or a form, that is not known here. */
export function recordData(message: Buffer, type: number, start: number, length: number): string {
  const data = message.subarray(start, start + length)
  return formatData(message, type, start, data) ?? data.toString('hex')
}

function formatData(message: Buffer, type: number, start: number, data: Buffer): string | null {
  const nameAt = (at: number) => readName(message, at)?.name ?? null
  switch (typeName(type)) {
    case 'A':
      return data.length === 4 ? formatIp(data) : null
    case 'AAAA':
      return data.length === 16 ? formatIp(data) : null
    case 'CNAME':
    case 'NS':
    case 'PTR':
    case 'DNAME':
      return nameAt(start)
    case 'MX':
      return joined(data.length > 2 ? data.readUInt16BE(0) : null, nameAt(start + 2))
    case 'SRV':
      return data.length > 6
        ? joined(data.readUInt16BE(0), data.readUInt16BE(2), data.readUInt16BE(4), nameAt(start + 6))
        : null
    case 'SOA': {
      const server = readName(message, start)
      const mailbox = server === null ? null : readName(message, server.end)
      if (server === null || mailbox === null || mailbox.end + 20 > start + data.length) return null
      return joined(server.name, mailbox.name, message.readUInt32BE(mailbox.end))
    }
    case 'TXT':
      return formatText(data)
    default:
      return null
  }
}

const joined = (...parts: readonly (string | number | null)[]) => (parts.includes(null) ? null : parts.join(' '))

/** The character strings of a TXT record, one after the other. */
function formatText(data: Buffer): string | null {
  const parts: string[] = []
  for (let at = 0; at < data.length; ) {
    const end = at + 1 + (data[at] as number)
    if (end > data.length) return null
    parts.push(data.toString('utf8', at + 1, end))
    at = end
  }
  return parts.join(' ')
}
