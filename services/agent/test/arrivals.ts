import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Probe } from './probes.ts'

const traffic = new URL('./traffic.mjs', import.meta.url).pathname

/** A probe with a source port of its own (ICMP: an identifier), by which it is known wherever it arrives. */
export type Shot = Probe & { readonly sourcePort: number; readonly fromIp?: string }

/** Where first packets arrive, known by their source ports: at a machine's door, or at the processes of the node. */
export interface Watch {
  readonly netns: string
  /** True for the node: what it forwards does not arrive there. */
  readonly isNode: boolean
}

function nft(netns: string, script: string): string {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', netns, 'nft', '-f', '-'], {
    input: script,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`nft in ${netns}: ${stderr}`)
  return stdout
}

/** Begins to note what arrives. What policy drops never does; what arrives need not be answered. */
export function watch({ netns, isNode }: Watch): void {
  const hook = isNode ? 'input priority 300' : 'prerouting priority -500'
  nft(
    netns,
    `add table inet arrivals
add set inet arrivals shots { typeof meta l4proto . th sport; }
add set inet arrivals echoes { typeof icmp id; }
add set inet arrivals echoes6 { typeof icmpv6 id; }
add chain inet arrivals door { type filter hook ${hook}; }
add rule inet arrivals door meta l4proto { 6, 17 } add @shots { meta l4proto . th sport }
add rule inet arrivals door icmp type 8 add @echoes { icmp id }
add rule inet arrivals door icmpv6 type 128 add @echoes6 { icmpv6 id }
`,
  )
}

/** The source ports that have arrived since the last call, as in `6 20001`. */
export function arrivals({ netns }: Watch): Set<string> {
  const listed = nft(netns, 'list table inet arrivals\n')
  nft(netns, 'flush set inet arrivals shots\nflush set inet arrivals echoes\nflush set inet arrivals echoes6\n')
  const elements = (set: string) =>
    (new RegExp(`set ${set} \\{[^}]*elements = \\{([^}]*)\\}`).exec(listed)?.[1] ?? '')
      .split(',')
      .map((text) => text.trim())
      .filter(Boolean)
  return new Set([
    ...elements('shots').map((text) => text.replace('tcp . ', '6 ').replace('udp . ', '17 ')),
    ...elements('echoes').map((id) => `1 ${id}`),
    ...elements('echoes6').map((id) => `58 ${id}`),
  ])
}

/** Sends the first packet of each shot, those of one machine by one process, and waits until they must have arrived. */
export async function fire(shots: readonly Shot[]): Promise<void> {
  const places = new Map<string, Shot[]>()
  for (const shot of shots) places.set(shot.from.netns, [...(places.get(shot.from.netns) ?? []), shot])
  await Promise.all(
    [...places].map(async ([netns, list]) => {
      const child = spawn('ip', ['netns', 'exec', netns, process.execPath, traffic, 'fire'], {
        stdio: ['pipe', 'ignore', 'inherit'],
      })
      child.stdin.end(
        list
          .map(({ to, protocol, port, sourcePort, fromIp }) =>
            JSON.stringify({ to, protocol, port, sourcePort, fromIp }),
          )
          .join('\n'),
      )
      const [status] = (await once(child, 'close')) as [number]
      if (status !== 0) throw new Error(`shots from ${netns} failed`)
    }),
  )
}
