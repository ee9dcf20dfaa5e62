/**
 * Finds the DNS messages in TCP segments that pass by (RFC 1035, 4.2.2: each follows its length in two bytes). Only what servers send is
 * looked at. A message is given with its last segment, so whoever holds that segment holds the message back.
 */
export interface TcpMessages {
  /** Takes a segment; gives the messages that it completes. `lost` when the stream cannot be followed (any more). */
  take(segment: TcpSegment): readonly Buffer[] | 'lost'
}

/** A segment, and the connection that it belongs to. */
export interface TcpSegment {
  readonly connection: string
  readonly sequence: number
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly payload: Buffer
}

/** Connections that are in the middle of a message; each holds at most one message of 64 KiB. */
const connectionLimit = 128
const lengthBytes = 2
/** A DNS header; what is shorter is no message. */
const shortest = 12

interface Stream {
  next: number
  isLost: boolean
  parts: Buffer[]
  size: number
  /** Bytes until there is something to read: a length, or a message with its length. */
  wanted: number
}

/** Reads a TCP header and what follows it; null when it is not whole. `connection` is the caller's name of the connection. */
export function parseSegment(connection: string, bytes: Buffer): TcpSegment | null {
  if (bytes.length < 20) return null
  const start = ((bytes[12] as number) >> 4) * 4
  if (start < 20 || start > bytes.length) return null
  const flags = bytes[13] as number
  return {
    connection,
    sequence: bytes.readUInt32BE(4),
    isFirst: (flags & 0x02) !== 0,
    isLast: (flags & 0x05) !== 0,
    payload: bytes.subarray(start),
  }
}

/** Makes a reader that knows no connection. */
export function createTcpMessages(): TcpMessages {
  const streams = new Map<string, Stream>()

  function follow({ connection, sequence, isFirst }: TcpSegment): Stream {
    const known = streams.get(connection)
    // A connection that is first seen in its middle is taken to be between two messages.
    const stream =
      known === undefined || isFirst
        ? { next: (sequence + (isFirst ? 1 : 0)) >>> 0, isLost: false, parts: [], size: 0, wanted: lengthBytes }
        : known
    streams.delete(connection)
    streams.set(connection, stream)
    if (streams.size > connectionLimit) streams.delete(streams.keys().next().value as string)
    return stream
  }

  function append(stream: Stream, { sequence, payload }: TcpSegment): void {
    // Differences of sequence numbers are read as signed: they count in a circle of 2^32 (RFC 9293, 3.4).
    const ahead = (sequence - stream.next) | 0
    if (ahead > 0) stream.isLost = true
    if (stream.isLost || -ahead >= payload.length) return
    const fresh = payload.subarray(-ahead)
    stream.next = (stream.next + fresh.length) >>> 0
    // A copy: what is kept outlives the buffer that the kernel's message was received in.
    stream.parts.push(Buffer.from(fresh))
    stream.size += fresh.length
  }

  /** Takes the complete messages out of a stream. */
  function complete(stream: Stream): Buffer[] {
    // Joining parts each time would let a server cost us the square of what it sends.
    if (stream.size < stream.wanted) return []
    const bytes = stream.parts.length === 1 ? (stream.parts[0] as Buffer) : Buffer.concat(stream.parts)
    const messages: Buffer[] = []
    let at = 0
    while (at + lengthBytes <= bytes.length) {
      const length = bytes.readUInt16BE(at)
      if (length < shortest) {
        stream.isLost = true
        break
      }
      stream.wanted = lengthBytes + length
      if (at + stream.wanted > bytes.length) break
      messages.push(bytes.subarray(at + lengthBytes, at + lengthBytes + length))
      at += stream.wanted
      stream.wanted = lengthBytes
    }
    const rest = stream.isLost ? Buffer.alloc(0) : bytes.subarray(at)
    stream.parts = rest.length > 0 ? [rest] : []
    stream.size = rest.length
    return messages
  }

  return {
    take(segment) {
      if (segment.payload.length === 0 && !segment.isFirst && !streams.has(segment.connection)) return []
      const stream = follow(segment)
      append(stream, segment)
      const messages = complete(stream)
      if (segment.isLast) streams.delete(segment.connection)
      return messages.length === 0 && stream.isLost && segment.payload.length > 0 ? 'lost' : messages
    },
  }
}
