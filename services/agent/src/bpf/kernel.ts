import { MargayError } from '@margay/kit/errors'
import koffi from 'koffi'

/** bpf(2), which has no function in the C library. Pointers in its arguments are numbers, to memory that V8 does not move. */
export interface BpfCalls {
  /** Gives the call's result; throws BPF_FAILED with `errno` in its details. */
  bpf(command: Command, attributes: Buffer, what: string): number
  /** Memory outside of V8, of at least so many bytes, zeroed. */
  allocate(bytes: number): NativeMemory
  /** The index of an interface in the thread's network namespace; 0 when there is none. */
  interfaceIndex(name: string): number
  close(fd: number): void
}

/** Memory that the kernel can be pointed to. */
export interface NativeMemory {
  readonly address: bigint
  write(bytes: Uint8Array): void
  read(length: number): Buffer
  free(): void
}

/** Commands of bpf(2) (linux/bpf.h). */
export const commands = {
  createMap: 0,
  lookupElement: 1,
  loadProgram: 5,
  lookupBatch: 24,
  updateBatch: 26,
  deleteBatch: 27,
  createLink: 28,
} as const

/** One of them. */
export type Command = (typeof commands)[keyof typeof commands]

const syscallNumbers: Partial<Record<NodeJS.Architecture, number>> = { x64: 321, arm64: 280, riscv64: 280 }

interface Native {
  syscall(number: number, command: number, attributes: Uint8Array, size: number): number
  calloc(count: number, size: number): number | bigint
  free(address: bigint): void
  toNative(target: bigint, source: Uint8Array, length: number): void
  fromNative(target: Uint8Array, source: bigint, length: number): void
  if_nametoindex(name: string): number
  close(fd: number): number
}

let native: Native | undefined

function open(): Native {
  if (native !== undefined) return native
  const library = koffi.load('libc.so.6')
  native = {
    syscall: library.func('int64_t syscall(int64_t, int64_t, _Inout_ void *, int64_t)'),
    calloc: library.func('uint64_t calloc(size_t, size_t)'),
    free: library.func('void free(uint64_t)'),
    toNative: library.func('void memcpy(uint64_t, const void *, size_t)'),
    fromNative: library.func('void memcpy(_Out_ void *, uint64_t, size_t)'),
    if_nametoindex: library.func('uint32_t if_nametoindex(const char *)'),
    close: library.func('int close(int)'),
  } as unknown as Native
  return native
}

/** The calls, for the thread that uses them. Throws BPF_FAILED where the processor is not known. */
export function openBpf(): BpfCalls {
  const number = syscallNumbers[process.arch]
  if (number === undefined) throw new MargayError('BPF_FAILED', `bpf(2) has no known number on ${process.arch}`)
  const c = open()
  return {
    bpf(command, attributes, what) {
      const result = c.syscall(number, command, attributes, attributes.length)
      if (result >= 0) return Number(result)
      const errno = koffi.errno()
      throw new MargayError('BPF_FAILED', `${what}: ${reasonOf(errno)}`, { details: { errno } })
    },
    allocate(bytes) {
      const address = BigInt(c.calloc(1, bytes))
      if (address === 0n) throw new MargayError('BPF_FAILED', `no memory for ${bytes} bytes`)
      return {
        address,
        write: (data) => c.toNative(address, data, Math.min(data.length, bytes)),
        read(length) {
          const data = Buffer.alloc(Math.min(length, bytes))
          c.fromNative(data, address, data.length)
          return data
        },
        free: () => c.free(address),
      }
    },
    interfaceIndex: (name) => c.if_nametoindex(name),
    close: (fd) => void c.close(fd),
  }
}

const words: Readonly<Record<number, string>> = {
  1: 'not permitted: it takes CAP_BPF and CAP_NET_ADMIN',
  2: 'there is no such entry',
  12: 'the kernel has no memory for it',
  13: 'the verifier of the kernel refused the program',
  19: 'the interface is gone',
  22: 'the kernel is too old for it',
  28: 'the buffer is too small',
  38: 'the kernel has no eBPF',
}

const reasonOf = (errno: number) => `${words[errno] ?? 'the kernel refused'} (errno ${errno})`
