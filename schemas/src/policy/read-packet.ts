import { type Address, canonicalAddress, parseAddress } from './ip.ts'
import type { Packet } from './model.ts'

/** A packet with its addresses read once, to be held against many rules. */
export interface ReadPacket {
  readonly packet: Packet
  readonly protocol: number
  readonly source: End
  readonly destination: End
}

/** One end of a packet. */
export interface End {
  /** In its usual text. */
  readonly ip: string
  /** 4 or 6; 0 when the text is no address. */
  readonly family: 4 | 6 | 0
  /** The address as an unsigned number when it is IPv4, else 0. */
  readonly v4: number
  readonly port: number | null
  /** The address; null when the text is none. */
  address(): Address | null
  /** The member of `ip-port` sets that it would be. */
  member(): string
}

/** Reads a packet as its destination sees it. */
export function readPacket(packet: Packet): ReadPacket {
  const { protocol } = packet
  return {
    packet,
    protocol,
    source: new ReadEnd(packet.sourceIp, packet.sourcePort, protocol),
    destination: new ReadEnd(packet.destinationIp, packet.destinationPort, protocol),
  }
}

/** The packet as it was before DNAT: to what the client addressed. The same one when there was no DNAT. */
export function beforeDnat(read: ReadPacket): ReadPacket {
  const { addressed } = read.packet
  if (addressed === undefined) return read
  return { ...read, destination: new ReadEnd(addressed.ip, addressed.port, read.protocol) }
}

class ReadEnd implements End {
  readonly ip: string
  readonly family: 4 | 6 | 0
  readonly v4: number
  readonly port: number | null
  readonly #protocol: number
  #address: Address | null
  #member: string | null = null

  constructor(text: string, port: number | null, protocol: number) {
    this.port = port
    this.#protocol = protocol
    const v4 = readDotted(text)
    if (v4 >= 0) {
      this.ip = text
      this.family = 4
      this.v4 = v4
      this.#address = null
      return
    }
    this.#address = parseAddress(text)
    this.ip = canonicalAddress(text)
    this.family = this.#address?.family ?? 0
    this.v4 = this.family === 4 ? Number(this.#address?.value) : 0
  }

  address(): Address | null {
    if (this.#address === null && this.family === 4) this.#address = { family: 4, value: BigInt(this.v4) }
    return this.#address
  }

  member(): string {
    this.#member ??= `${this.ip},${this.#protocol},${this.port}`
    return this.#member
  }
}

const dot = 46
const zero = 48

/** The number of an IPv4 address in its usual text; -1 for any other text. */
function readDotted(text: string): number {
  const { length } = text
  if (length < 7 || length > 15) return -1
  let value = 0
  let octet = -1
  let dots = 0
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code === dot) {
      if (octet < 0) return -1
      value = value * 256 + octet
      octet = -1
      dots++
      continue
    }
    const digit = code - zero
    // A leading zero is another spelling, or none.
    if (digit < 0 || digit > 9 || octet === 0) return -1
    octet = octet < 0 ? digit : octet * 10 + digit
    if (octet > 255) return -1
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1
}
