import { messageOf } from '@margay/kit/errors'
import { formatIp } from '../netlink/conntrack.ts'
import type { BpfCalls } from './kernel.ts'
import { attach, type BpfMap, createMap, entriesOf, loadProgram, mapTypes } from './objects.ts'
import { socketKeySize, socketValue, tcpProgram } from './tcp-program.ts'

/** How a socket of a pod was when it last sent something. */
export interface SocketState {
  /** As the pod sent: before DNAT. */
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  /** Segments. */
  readonly congestionWindow: number
  /** Microseconds; 0 when not measured yet. */
  readonly smoothRtt: number
  readonly minRtt: number
  /** Bytes. */
  readonly mss: number
  /** Segments sent again since the socket was opened. */
  readonly retransmissions: number
  /** Segments taken for lost since the program looks at the socket. */
  readonly lost: number
}

/** The program that looks at the sockets of pods, on the interfaces of this thread's network namespace. */
export interface TcpStatistics {
  /** Runs on these interfaces and no others. Gives the reason for those where it cannot. */
  watch(interfaces: readonly string[]): string | null
  /** Sockets that have sent something since the call before. */
  read(): SocketState[]
  /** Takes the program away; traffic does not notice. */
  close(): void
}

/** Sockets remembered; those that were silent for longest are forgotten first. 76 bytes each, about 10 MiB with the kernel's own. */
const entries = 65_536

/** Loads the program. Throws BPF_FAILED. */
export function createTcpStatistics(calls: BpfCalls): TcpStatistics {
  const map = createMap(calls, {
    name: 'margay_tcp',
    type: mapTypes.lruHash,
    keySize: socketKeySize,
    valueSize: socketValue.size,
    entries,
  })
  const program = load(calls, map)
  /** Links by interface index. */
  const links = new Map<number, number>()
  let seen = 0n

  return {
    watch(interfaces) {
      const wanted = new Set(interfaces.map((name) => calls.interfaceIndex(name)).filter((index) => index !== 0))
      for (const [index, fd] of links) {
        if (wanted.has(index)) continue
        calls.close(fd)
        links.delete(index)
      }
      let reason: string | null = null
      for (const interfaceIndex of wanted) {
        if (links.has(interfaceIndex)) continue
        try {
          links.set(interfaceIndex, attach(calls, { program, kind: 'tcx', interfaceIndex }))
        } catch (error) {
          // One that has gone in the meantime is no trouble.
          if (interfaces.some((name) => calls.interfaceIndex(name) === interfaceIndex)) reason = messageOf(error)
        }
      }
      return reason
    },
    read() {
      const states: SocketState[] = []
      let newest = seen
      for (const { key, value } of entriesOf(calls, map, { key: socketKeySize, value: socketValue.size })) {
        const updated = value.readBigUInt64LE(socketValue.updated)
        if (updated <= seen) continue
        if (updated > newest) newest = updated
        states.push(decodeSocket(key, value))
      }
      seen = newest
      return states
    },
    close() {
      for (const fd of links.values()) calls.close(fd)
      links.clear()
      calls.close(program)
      map.close()
    },
  }
}

function load(calls: BpfCalls, map: BpfMap): number {
  try {
    return loadProgram(calls, { name: 'margay_tcp', kind: 'tcx', code: tcpProgram(map.fd) })
  } catch (error) {
    map.close()
    throw error
  }
}

/** Reads an entry of the program's map. */
export function decodeSocket(key: Buffer, value: Buffer): SocketState {
  const number = (member: Exclude<keyof typeof socketValue, 'size' | 'updated'>) =>
    value.readUInt32LE(socketValue[member])
  return {
    source: address(key.subarray(0, 16)),
    destination: address(key.subarray(16, 32)),
    sourcePort: key.readUInt16BE(32),
    destinationPort: key.readUInt16BE(34),
    congestionWindow: number('congestionWindow'),
    // The kernel keeps eighths.
    smoothRtt: number('smoothRtt') >>> 3,
    minRtt: number('minRtt'),
    mss: number('mss'),
    retransmissions: number('retransmissions'),
    lost: number('lost'),
  }
}

function address(bytes: Buffer): string {
  const isMapped = bytes.readUInt32BE(8) === 0xffff && bytes.readBigUInt64BE(0) === 0n
  return formatIp(isMapped ? bytes.subarray(12) : bytes)
}
