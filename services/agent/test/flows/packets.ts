/** Packets for tests, as the kernel logs them: IP header, transport header, payload. */

const address = (text: string) => text.split('.').map(Number)

export function ipv4Packet(options: {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly transport: Uint8Array
  readonly length?: number
}): Buffer {
  const length = options.length ?? 20 + options.transport.length
  const header = [0x45, 0, length >> 8, length & 0xff, 0, 0, 0x40, 0, 64, options.protocol, 0, 0]
  return Buffer.from([...header, ...address(options.source), ...address(options.destination), ...options.transport])
}

export function udpDatagram(sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  const length = 8 + payload.length
  return Uint8Array.of(
    sourcePort >> 8,
    sourcePort & 0xff,
    destinationPort >> 8,
    destinationPort & 0xff,
    length >> 8,
    length & 0xff,
    0,
    0,
    ...payload,
  )
}

export function tcpSegment(
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  payload: Uint8Array,
  flags = 0x18,
): Uint8Array {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(sourcePort, 0)
  header.writeUInt16BE(destinationPort, 2)
  header.writeUInt32BE(sequence, 4)
  header[12] = 5 << 4
  header[13] = flags
  return Uint8Array.of(...header, ...payload)
}
