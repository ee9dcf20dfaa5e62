import type { DnsLookup, DnsRecordSet } from '@margay/schemas'
import { responseCodes } from '@margay/schemas/dns/response-codes'
import type { DomainAnswer } from './domain-facts.ts'
import { chainLimit } from './domain-store.ts'
import { isOrdinary, readName } from './name.ts'
import { className, recordData, typeName } from './record-data.ts'

/** A DNS message, as far as the log and policy need it (RFC 1035): what a lookup tells of it, and what pairs it with its request. */
export type DnsMessage = DnsLookup['message'] & {
  readonly id: number
  readonly isResponse: boolean
  /** The answer did not fit; the client asks again over TCP. */
  readonly isTruncated: boolean
  /** What the records say about the name that was asked for; null when they say nothing that policy may use. */
  readonly answer: DomainAnswer | null
}

const headerSize = 12
/** Answers read from one message; a log row should stay readable, and a hostile server should not cost us time. */
const answerLimit = 512
const standardQuery = 0
const internet = 1
const types = { a: 1, cname: 5, aaaa: 28, options: 41 } as const

interface DnsRecord {
  readonly name: string
  readonly type: number
  readonly class: number
  /** Seconds; a life with the highest bit set is none (RFC 2181, 8). */
  readonly ttl: number
  readonly data: string
}

/**
 * Reads a message; null when it is malformed, is no standard query, or has other than one question. Only the answers are read, and those
 * that a message was cut in the middle of are left out.
 */
export function parseDnsMessage(bytes: Buffer): DnsMessage | null {
  if (bytes.length < headerSize) return null
  const flags = bytes.readUInt16BE(2)
  if (((flags >> 11) & 0xf) !== standardQuery || bytes.readUInt16BE(4) !== 1) return null
  const question = readName(bytes, headerSize)
  if (question === null || question.end + 4 > bytes.length) return null
  const isTruncated = (flags & 0x0200) !== 0
  const records = readRecords(bytes, question.end + 4, bytes.readUInt16BE(6), isTruncated)
  if (records === null) return null
  const rcode = flags & 0xf
  const isResponse = (flags & 0x8000) !== 0
  const isInternet = bytes.readUInt16BE(question.end + 2) === internet
  const answer = isResponse && isInternet && rcode === 0 ? answerFor(question.name, records) : null
  return {
    id: bytes.readUInt16BE(0),
    isResponse,
    isTruncated,
    question: {
      name: question.name,
      type: typeName(bytes.readUInt16BE(question.end)),
      class: className(bytes.readUInt16BE(question.end + 2)),
    },
    rcode: responseCodes[rcode] ?? String(rcode),
    rrsets: recordSets(records),
    addresses: addressesOf(answer),
    answer,
  }
}

function readRecords(bytes: Buffer, start: number, count: number, isTruncated: boolean): DnsRecord[] | null {
  if (count > answerLimit) return null
  const records: DnsRecord[] = []
  let at = start
  for (let i = 0; i < count; i += 1) {
    const owner = readName(bytes, at)
    if (owner === null || owner.end + 10 > bytes.length) return isTruncated ? records : null
    const type = bytes.readUInt16BE(owner.end)
    const length = bytes.readUInt16BE(owner.end + 8)
    const data = owner.end + 10
    at = data + length
    if (at > bytes.length) return isTruncated ? records : null
    if (type === types.options) continue
    const ttl = bytes.readInt32BE(owner.end + 4)
    records.push({
      name: owner.name,
      type,
      class: bytes.readUInt16BE(owner.end + 2),
      ttl: Math.max(0, ttl),
      data: recordData(bytes, type, data, length),
    })
  }
  return records
}

/**
 * Follows the CNAME records from the question to addresses. Records that the question does not lead to are left out: a server must not
 * be able to give addresses to names that nobody asked it for.
 */
function answerFor(question: string, records: readonly DnsRecord[]): DomainAnswer | null {
  const chain: { name: string; ttl: number }[] = []
  const seen = new Set<string>()
  let name = question
  for (;;) {
    if (!isOrdinary(name) || seen.has(name) || chain.length >= chainLimit) return null
    seen.add(name)
    const own = records.filter((record) => record.name === name && record.class === internet)
    const addresses = own.filter(({ type, data }) => isAddress(type, data)).map(({ data, ttl }) => ({ ip: data, ttl }))
    const alias = own.find(({ type }) => type === types.cname)
    chain.push({ name, ttl: alias?.ttl ?? 0 })
    if (addresses.length > 0 || alias === undefined)
      return addresses.length === 0 && chain.length === 1 ? null : { chain, addresses }
    name = alias.data
  }
}

/** Data of a wrong length is told as digits. */
const isAddress = (type: number, data: string) =>
  (type === types.a && data.includes('.')) || (type === types.aaaa && data.includes(':'))

function addressesOf(answer: DomainAnswer | null): DnsMessage['addresses'] {
  if (answer === null) return []
  const way = Math.min(...answer.chain.slice(0, -1).map(({ ttl }) => ttl))
  return answer.addresses.map(({ ip, ttl }) => ({ ip, ttl: Math.min(way, ttl) }))
}

function recordSets(records: readonly DnsRecord[]): DnsRecordSet[] {
  const sets = new Map<string, DnsRecordSet>()
  for (const record of records) {
    const head = { name: record.name, type: typeName(record.type), class: className(record.class) }
    const key = `${head.name} ${head.type} ${head.class}`
    const set = sets.get(key)
    if (set === undefined) sets.set(key, { ...head, rdata: [record.data] })
    else set.rdata.push(record.data)
  }
  for (const set of sets.values()) set.rdata.sort()
  return [...sets.values()].sort((a, b) => (a.name + a.type < b.name + b.type ? -1 : 1))
}
