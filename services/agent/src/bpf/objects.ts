import { MargayError } from '@margay/kit/errors'
import { type BpfCalls, commands, type NativeMemory } from './kernel.ts'

/** Maps, programs and links: each lives for as long as its descriptor is open, so an agent that dies leaves nothing behind. */

const attributesSize = 128
const logSize = 64 * 1024
const nameSize = 15
/** Entries of one call. */
const batchEntries = 1024

/** Kinds of maps (linux/bpf.h, BPF_MAP_TYPE_*). */
export const mapTypes = { lruHash: 9, lpmTrie: 11, array: 2 } as const
/** Kinds of programs (BPF_PROG_TYPE_*), with what they are attached to (BPF_TCX_INGRESS, BPF_XDP). */
export const programTypes = { tcx: { type: 3, attach: 46 }, xdp: { type: 6, attach: 37 } } as const

/** A map of the kernel. */
export interface BpfMap {
  readonly fd: number
  close(): void
}

/** Makes a map. Throws BPF_FAILED. */
export function createMap(
  calls: BpfCalls,
  spec: {
    readonly name: string
    readonly type: number
    readonly keySize: number
    readonly valueSize: number
    readonly entries: number
    readonly flags?: number
  },
): BpfMap {
  const attributes = Buffer.alloc(attributesSize)
  attributes.writeUInt32LE(spec.type, 0)
  attributes.writeUInt32LE(spec.keySize, 4)
  attributes.writeUInt32LE(spec.valueSize, 8)
  attributes.writeUInt32LE(spec.entries, 12)
  attributes.writeUInt32LE(spec.flags ?? 0, 16)
  attributes.write(spec.name.slice(0, nameSize), 28, 'latin1')
  const fd = calls.bpf(commands.createMap, attributes, `map ${spec.name} cannot be made`)
  return { fd, close: () => calls.close(fd) }
}

/** Loads machine code; gives the program's descriptor. Throws BPF_FAILED, with the verifier's last words when it refused. */
export function loadProgram(
  calls: BpfCalls,
  spec: { readonly name: string; readonly kind: keyof typeof programTypes; readonly code: Buffer },
): number {
  const { type, attach } = programTypes[spec.kind]
  const memory: NativeMemory[] = []
  const held = (bytes: Uint8Array) => {
    const made = place(calls, bytes)
    memory.push(made)
    return made.address
  }
  const load = (log: NativeMemory | null) => {
    const attributes = Buffer.alloc(attributesSize)
    attributes.writeUInt32LE(type, 0)
    attributes.writeUInt32LE(spec.code.length / 8, 4)
    attributes.writeBigUInt64LE(held(spec.code), 8)
    // None of the helpers in use asks for another licence than the product's own.
    attributes.writeBigUInt64LE(held(Buffer.from('Apache-2.0\0')), 16)
    if (log !== null) {
      attributes.writeUInt32LE(1, 24)
      attributes.writeUInt32LE(logSize, 28)
      attributes.writeBigUInt64LE(log.address, 32)
    }
    attributes.write(spec.name.slice(0, nameSize), 48, 'latin1')
    attributes.writeUInt32LE(attach, 68)
    return calls.bpf(commands.loadProgram, attributes, `program ${spec.name} cannot be loaded`)
  }
  try {
    try {
      return load(null)
    } catch (error) {
      if (!(error instanceof MargayError)) throw error
      const log = calls.allocate(logSize)
      memory.push(log)
      try {
        return load(log)
      } catch {
        throw new MargayError('BPF_FAILED', error.message, {
          cause: error,
          details: { ...error.details, log: verifierWords(log.read(logSize)) },
        })
      }
    }
  } finally {
    for (const made of memory) made.free()
  }
}

/** The end of the verifier's log, where it says what it did not like. */
function verifierWords(log: Buffer): string {
  const end = log.indexOf(0)
  return log.toString('latin1', 0, end < 0 ? log.length : end).slice(-1000)
}

/** Attaches a program to an interface of the thread's network namespace; closing the descriptor detaches it. Throws BPF_FAILED. */
export function attach(
  calls: BpfCalls,
  link: {
    readonly program: number
    readonly kind: keyof typeof programTypes
    readonly interfaceIndex: number
    readonly flags?: number
  },
): number {
  const attributes = Buffer.alloc(attributesSize)
  attributes.writeUInt32LE(link.program, 0)
  attributes.writeUInt32LE(link.interfaceIndex, 4)
  attributes.writeUInt32LE(programTypes[link.kind].attach, 8)
  attributes.writeUInt32LE(link.flags ?? 0, 12)
  // The smallest form: older kernels refuse trailing bytes that they do not know, unless these are zero.
  return calls.bpf(commands.createLink, attributes, `a program cannot be attached to interface ${link.interfaceIndex}`)
}

/** Writes the value under each key, or deletes the keys where it is null. Throws BPF_FAILED; some may be written then. */
export function setElements(calls: BpfCalls, map: BpfMap, keys: readonly Buffer[], value: Buffer | null): void {
  for (let from = 0; from < keys.length; from += batchEntries) {
    const part = keys.slice(from, from + batchEntries)
    const memory = [
      place(calls, Buffer.concat(part)),
      place(calls, Buffer.concat(part.map(() => value ?? noValue))),
    ] as const
    try {
      const attributes = Buffer.alloc(attributesSize)
      attributes.writeBigUInt64LE(memory[0].address, 16)
      if (value !== null) attributes.writeBigUInt64LE(memory[1].address, 24)
      attributes.writeUInt32LE(part.length, 32)
      attributes.writeUInt32LE(map.fd, 36)
      calls.bpf(value === null ? commands.deleteBatch : commands.updateBatch, attributes, 'a map cannot be changed')
    } finally {
      for (const made of memory) made.free()
    }
  }
}

const noValue = Buffer.alloc(1)

/** Reads an entry that is there. Throws BPF_FAILED. */
export function getElement(calls: BpfCalls, map: BpfMap, key: Buffer, size: number): Buffer {
  const memory = [place(calls, key), calls.allocate(size)] as const
  try {
    const attributes = Buffer.alloc(attributesSize)
    attributes.writeUInt32LE(map.fd, 0)
    attributes.writeBigUInt64LE(memory[0].address, 8)
    attributes.writeBigUInt64LE(memory[1].address, 16)
    calls.bpf(commands.lookupElement, attributes, 'a map cannot be read')
    return memory[1].read(size)
  } finally {
    for (const made of memory) made.free()
  }
}

function place(calls: BpfCalls, bytes: Uint8Array): NativeMemory {
  const memory = calls.allocate(bytes.length)
  memory.write(bytes)
  return memory
}

/** All entries of a hash map. They may change while they are read, and none is there twice. Throws BPF_FAILED. */
export function* entriesOf(
  calls: BpfCalls,
  map: BpfMap,
  sizes: { readonly key: number; readonly value: number },
): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
  const keys = calls.allocate(batchEntries * sizes.key)
  const values = calls.allocate(batchEntries * sizes.value)
  const cursor = calls.allocate(8)
  try {
    for (let isFirst = true, isLast = false; !isLast; isFirst = false) {
      const attributes = Buffer.alloc(attributesSize)
      if (!isFirst) attributes.writeBigUInt64LE(cursor.address, 0)
      attributes.writeBigUInt64LE(cursor.address, 8)
      attributes.writeBigUInt64LE(keys.address, 16)
      attributes.writeBigUInt64LE(values.address, 24)
      attributes.writeUInt32LE(batchEntries, 32)
      attributes.writeUInt32LE(map.fd, 36)
      isLast = isEnd(() => calls.bpf(commands.lookupBatch, attributes, 'a map cannot be read'))
      const count = attributes.readUInt32LE(32)
      const allKeys = keys.read(count * sizes.key)
      const allValues = values.read(count * sizes.value)
      for (let index = 0; index < count; index += 1)
        yield {
          key: allKeys.subarray(index * sizes.key, (index + 1) * sizes.key),
          value: allValues.subarray(index * sizes.value, (index + 1) * sizes.value),
        }
    }
  } finally {
    for (const memory of [keys, values, cursor]) memory.free()
  }
}

const noEntry = 2

/** The kernel says that it was the last part by an error. */
function isEnd(call: () => void): boolean {
  try {
    call()
    return false
  } catch (error) {
    if (error instanceof MargayError && error.details.errno === noEntry) return true
    throw error
  }
}
