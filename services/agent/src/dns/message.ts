import { type DnsLookup, type DnsRecordSet, responseCodes } from '@margay/schemas'
import { type Answer, decode } from 'dns-packet'

/** A DNS message, as far as the log needs it (RFC 1035): what a lookup tells of it, and what pairs it with its request. */
export type DnsMessage = DnsLookup['message'] & { readonly id: number; readonly isResponse: boolean }

const headerSize = 12
/** Answers read from one message; a log row should stay readable, and a hostile server should not cost us time. */
const answerLimit = 256

/** Reads a message; null when it is malformed, is no standard query, or has other than one question. */
export function parseDnsMessage(bytes: Buffer): DnsMessage | null {
  if (bytes.length < headerSize) return null
  const flags = bytes.readUInt16BE(2)
  const opcode = (flags >> 11) & 0xf
  if (opcode !== 0 || bytes.readUInt16BE(4) !== 1) return null
  if (bytes.readUInt16BE(6) > answerLimit || bytes.readUInt16BE(8) + bytes.readUInt16BE(10) > answerLimit) return null
  let packet: ReturnType<typeof decode>
  try {
    packet = decode(bytes)
  } catch {
    return null
  }
  const question = packet.questions?.[0]
  if (question === undefined) return null
  const rcode = flags & 0xf
  return {
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    question: {
      name: canonicalName(question.name),
      type: mnemonic(question.type),
      class: mnemonic(question.class ?? 'IN'),
    },
    rcode: responseCodes[rcode] ?? String(rcode),
    ...answersOf(packet.answers ?? []),
  }
}

/** Lower case, without the final dot. */
const canonicalName = (name: string) => name.toLowerCase().replace(/\.$/, '')

/** dns-packet writes numbers it has no name for as `UNKNOWN_65`. */
const mnemonic = (name: string) => name.replace(/^UNKNOWN_/, '')

function answersOf(answers: readonly Answer[]): Pick<DnsMessage, 'rrsets' | 'addresses'> {
  const sets = new Map<string, DnsRecordSet>()
  const addresses: { ip: string; ttl: number }[] = []
  let shortest = Number.POSITIVE_INFINITY
  for (const answer of answers) {
    if (answer.type === 'OPT') continue
    const ttl = 'ttl' in answer ? Number(answer.ttl ?? 0) : 0
    shortest = Math.min(shortest, ttl)
    const name = canonicalName(answer.name)
    const type = mnemonic(answer.type)
    const recordClass = mnemonic(('class' in answer ? answer.class : undefined) ?? 'IN')
    const rdata = rdataOf(answer)
    const key = `${name} ${type} ${recordClass}`
    const set = sets.get(key)
    if (set === undefined) sets.set(key, { name, type, class: recordClass, rdata: [rdata] })
    else set.rdata.push(rdata)
    if (answer.type === 'A' || answer.type === 'AAAA') addresses.push({ ip: answer.data, ttl: shortest })
  }
  for (const set of sets.values()) set.rdata.sort()
  return { rrsets: [...sets.values()].sort((a, b) => (a.name + a.type < b.name + b.type ? -1 : 1)), addresses }
}

/** A record's data as zone files write it. */
function rdataOf(answer: Answer): string {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return answer.data
    case 'CNAME':
    case 'NS':
    case 'PTR':
    case 'DNAME':
      return canonicalName(answer.data)
    case 'MX':
      return `${answer.data.preference ?? 0} ${canonicalName(answer.data.exchange)}`
    case 'SRV':
      return `${answer.data.priority ?? 0} ${answer.data.weight ?? 0} ${answer.data.port} ${canonicalName(answer.data.target)}`
    case 'SOA':
      return `${canonicalName(answer.data.mname)} ${canonicalName(answer.data.rname)} ${answer.data.serial ?? 0}`
    case 'TXT':
      return [answer.data].flat().map(String).join(' ')
    default: {
      const data: unknown = 'data' in answer ? answer.data : ''
      return Buffer.isBuffer(data) ? data.toString('hex') : typeof data === 'string' ? data : JSON.stringify(data)
    }
  }
}
