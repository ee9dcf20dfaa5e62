import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Packet } from '@margay/schemas'

const traffic = new URL('./traffic.mjs', import.meta.url).pathname

/** Somewhere that traffic comes from: a pod, the node, or a machine outside. */
export interface Place {
  readonly netns: string
  readonly ip: string
  readonly ip6: string
}

/** The first packet of a connection. */
export interface Probe {
  readonly from: Place
  readonly to: string
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  /** Means nothing for ICMP, which is an echo request. */
  readonly port: number
}

/** Runs a verb of traffic.mjs at a place. */
export function startTraffic(at: Pick<Place, 'netns'>, ...args: string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', at.netns, process.execPath, traffic, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}

/** All that a process writes until it ends. */
export async function outputOf(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk
  })
  await once(child, 'close')
  return text.trim()
}

/** Opens one connection for each probe, all at once; gives whether a TCP or ICMP probe was answered (a refusal is an answer). */
export async function runProbes(probes: readonly Probe[]): Promise<Map<Probe, boolean>> {
  const answered = new Map<Probe, boolean>()
  // Nobody waits for the answer to a datagram: the last one may still be on its way, or ask for its neighbour.
  const settled = () => new Promise((resolve) => setTimeout(resolve, 100))
  await Promise.all(
    probes.map(async (probe) => {
      const child = startProbe(probe)
      const [status] = (await once(child, 'close')) as [number]
      answered.set(probe, status !== 124)
    }),
  )
  await settled()
  return answered
}

function startProbe({ from, to, protocol, port }: Probe): ChildProcess {
  const command =
    protocol === 'icmp'
      ? [process.execPath, traffic, 'ping', to]
      : ['bash', '-c', protocol === 'tcp' ? `exec 3<>/dev/tcp/${to}/${port}` : `echo x > /dev/udp/${to}/${port}`]
  return spawn('ip', ['netns', 'exec', from.netns, 'timeout', '3', ...command], { stdio: 'ignore' })
}

/** A probe as the evaluator takes it. */
export function packetOf({ from, to, protocol, port }: Probe): Packet {
  const isV6 = to.includes(':')
  const ends = { sourceIp: isV6 ? from.ip6 : from.ip, destinationIp: to }
  if (protocol === 'icmp') {
    const icmp = { type: isV6 ? 128 : 8, code: 0 }
    return { ...ends, protocol: isV6 ? 58 : 1, sourcePort: null, destinationPort: null, icmp }
  }
  return { ...ends, protocol: protocol === 'tcp' ? 6 : 17, sourcePort: 40000, destinationPort: port }
}
