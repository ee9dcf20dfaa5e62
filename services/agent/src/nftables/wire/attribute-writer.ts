/**
 * Writes netlink messages into one buffer that grows and is used again: a ruleset is some megabytes of small attributes, so nothing
 * is allocated for one of them. Numbers are in network order, as nf_tables wants them; headers in the order of the machine, which is
 * little endian wherever Node runs on Linux.
 */
export interface AttributeWriter {
  /** Bytes written since the last `clear`. */
  readonly length: number
  clear(): void
  /** Begins a message; gives where it begins, for `endMessage`. */
  message(type: number, flags: number, sequence: number, family: number, resource?: number): number
  /** Adds flags to a message that was begun at `start`. */
  addFlags(start: number, flags: number): void
  endMessage(start: number): void
  /** Begins an attribute that holds attributes; gives where it begins, for `close`. */
  open(type: number): number
  close(start: number): void
  u8(type: number, value: number): void
  u16(type: number, value: number): void
  u32(type: number, value: number): void
  u64(type: number, value: bigint): void
  /** Text with the zero byte that ends it. */
  text(type: number, value: string): void
  bytes(type: number, value: Uint8Array): void
  /** Attributes that were encoded before, a multiple of four bytes. */
  copy(encoded: Uint8Array): void
  /** What was written: a view that the next write may invalidate. */
  view(from?: number): Buffer
}

const messageHeader = 20
const attributeHeader = 4
const nestedFlag = 0x8000
/** Longest value of an attribute: its length is told in 16 bits, with its header. */
export const longestAttribute = 0xffff - attributeHeader

/** Makes an empty writer. */
export function createAttributeWriter(initialBytes = 4096): AttributeWriter {
  let buffer = Buffer.alloc(initialBytes)
  let at = 0

  /** Makes room for so many bytes and tells where they go. */
  function take(size: number): number {
    const start = at
    at += size
    if (at > buffer.length) {
      const larger = Buffer.alloc(Math.max(buffer.length * 2, at))
      larger.set(buffer.subarray(0, start))
      buffer = larger
    }
    return start
  }

  /** An attribute of `size` bytes: header and padding are written, the value goes where the answer says. */
  function attribute(type: number, size: number): number {
    const length = attributeHeader + size
    const padded = (length + 3) & ~3
    const start = take(padded)
    buffer[start] = length
    buffer[start + 1] = length >> 8
    buffer[start + 2] = type
    buffer[start + 3] = type >> 8
    for (let pad = start + length; pad < start + padded; pad += 1) buffer[pad] = 0
    return start + attributeHeader
  }

  function putU32(start: number, value: number): void {
    buffer[start] = value >>> 24
    buffer[start + 1] = value >>> 16
    buffer[start + 2] = value >>> 8
    buffer[start + 3] = value
  }

  function putUtf8(type: number, value: string): void {
    const size = Buffer.byteLength(value)
    const start = attribute(type, size + 1)
    buffer.write(value, start, 'utf8')
    buffer[start + size] = 0
  }

  return {
    get length() {
      return at
    },
    clear() {
      at = 0
    },
    message(type, flags, sequence, family, resource = 0) {
      const start = take(messageHeader)
      buffer.writeUInt16LE(type, start + 4)
      buffer.writeUInt16LE(flags, start + 6)
      buffer.writeUInt32LE(sequence >>> 0, start + 8)
      buffer.writeUInt32LE(0, start + 12)
      buffer[start + 16] = family
      buffer[start + 17] = 0
      buffer.writeUInt16BE(resource, start + 18)
      return start
    },
    addFlags(start, flags) {
      buffer.writeUInt16LE(buffer.readUInt16LE(start + 6) | flags, start + 6)
    },
    endMessage(start) {
      buffer.writeUInt32LE(at - start, start)
    },
    open: (type) => attribute(type | nestedFlag, 0) - attributeHeader,
    close(start) {
      const length = at - start
      if (length > 0xffff) throw new RangeError(`an attribute of ${length} bytes is longer than netlink can tell`)
      buffer[start] = length
      buffer[start + 1] = length >> 8
    },
    u8(type, value) {
      const start = attribute(type, 1)
      buffer[start] = value
    },
    u16(type, value) {
      const start = attribute(type, 2)
      buffer[start] = value >>> 8
      buffer[start + 1] = value
    },
    u32(type, value) {
      const start = attribute(type, 4)
      putU32(start, value)
    },
    u64(type, value) {
      const start = attribute(type, 8)
      buffer.writeBigUInt64BE(value, start)
    },
    text(type, value) {
      const start = attribute(type, value.length + 1)
      for (let index = 0; index < value.length; index += 1) {
        const code = value.charCodeAt(index)
        if (code > 0x7f) {
          at = start - attributeHeader
          return putUtf8(type, value)
        }
        buffer[start + index] = code
      }
      buffer[start + value.length] = 0
    },
    bytes(type, value) {
      const start = attribute(type, value.length)
      buffer.set(value, start)
    },
    copy(encoded) {
      const start = take(encoded.length)
      buffer.set(encoded, start)
    },
    view: (from = 0) => buffer.subarray(from, at),
  }
}
