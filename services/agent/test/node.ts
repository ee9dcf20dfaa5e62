import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A node in network namespaces for system tests: a namespace that forwards, and pods on veths, as a CNI plugin leaves them. */
export interface TestNode {
  readonly netns: string
  readonly dir: string
  readonly pods: readonly TestPod[]
  /** A machine outside, on a wire to the node: where it is, and the node's end of the wire. */
  readonly outside: TestWire['outside']
  readonly uplink: TestWire['uplink']
  /** Another, which reaches the first through the node. */
  readonly further: TestWire
  /** Runs a command inside the node. Throws when it fails. */
  run(...command: string[]): string
  remove(): void
}

export interface TestWire {
  readonly outside: { readonly netns: string; readonly ip: string; readonly ip6: string }
  readonly uplink: { readonly interfaceName: string; readonly ip: string; readonly ip6: string }
}

export interface TestPod {
  readonly netns: string
  readonly interfaceName: string
  readonly ip: string
  readonly ip6: string
}

function must(command: readonly string[], input = ''): string {
  const [file, ...args] = command as [string, ...string[]]
  const { status, stdout, stderr, error } = spawnSync(file, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

/** Null when system tests can run here, else the reason why not. */
export function whyNot(): string | null {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const tool of ['nft', 'ip', 'conntrack'])
    if (spawnSync(tool, ['--version']).error !== undefined && spawnSync(tool, ['-V']).error !== undefined)
      return `needs ${tool}`
  return null
}

let made = 0

export function createTestNode(podCount: number): TestNode {
  made += 1
  const id = `ma${process.pid.toString(36)}${made}`
  const netns = `${id}-node`
  const pods = Array.from({ length: podCount }, (_, index): TestPod => {
    const number = index + 1
    return {
      netns: `${id}-p${number}`,
      interfaceName: `cali${id}${number}`,
      ip: `10.77.0.${number}`,
      ip6: `fd77::${number}`,
    }
  })
  const wires = [78, 79].map(
    (net, index): TestWire => ({
      outside: { netns: `${id}-out${index}`, ip: `10.${net}.0.2`, ip6: `fd${net}::2` },
      uplink: { interfaceName: `wire${index}`, ip: `10.${net}.0.1`, ip6: `fd${net}::1` },
    }),
  )
  const [{ outside, uplink }, further] = wires as [TestWire, TestWire]
  const dir = mkdtempSync(join(tmpdir(), 'margay-agent-'))
  const node: TestNode = {
    netns,
    dir,
    pods,
    outside,
    uplink,
    further,
    run: (...command) => must(['ip', 'netns', 'exec', netns, ...command]),
    remove() {
      for (const name of [...pods.map((p) => p.netns), ...wires.map((wire) => wire.outside.netns), netns])
        spawnSync('ip', ['netns', 'del', name])
      rmSync(dir, { recursive: true, force: true })
    },
  }
  try {
    must(['ip', 'netns', 'add', netns])
    const batch = ['link set lo up']
    for (const { outside: end, uplink: near } of wires) {
      must(['ip', 'netns', 'add', end.netns])
      batch.push(
        `link add ${near.interfaceName} type veth peer name eth0 netns ${end.netns}`,
        `addr add ${near.ip}/24 dev ${near.interfaceName}`,
        `addr add ${near.ip6}/64 dev ${near.interfaceName} nodad`,
        `link set ${near.interfaceName} up`,
      )
    }
    for (const { netns: pod, interfaceName, ip, ip6 } of pods) {
      must(['ip', 'netns', 'add', pod])
      batch.push(
        `link add ${interfaceName} type veth peer name eth0 netns ${pod}`,
        `addr add 169.254.1.1/32 dev ${interfaceName}`,
        `addr add fe80::1/64 dev ${interfaceName} nodad`,
        `link set ${interfaceName} up`,
        `route add ${ip}/32 dev ${interfaceName}`,
        `route add ${ip6}/128 dev ${interfaceName}`,
      )
    }
    must(['ip', '-n', netns, '-batch', '-'], `${batch.join('\n')}\n`)
    for (const { outside: end, uplink: near } of wires) {
      const lines = [
        'link set lo up',
        `addr add ${end.ip}/24 dev eth0`,
        `addr add ${end.ip6}/64 dev eth0 nodad`,
        'link set eth0 up',
        `route add default via ${near.ip}`,
        `route add default via ${near.ip6}`,
      ]
      must(['ip', '-n', end.netns, '-batch', '-'], `${lines.join('\n')}\n`)
    }
    node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
    for (const { netns: pod, ip, ip6 } of pods) {
      const lines = [
        'link set lo up',
        `addr add ${ip}/32 dev eth0`,
        `addr add ${ip6}/128 dev eth0 nodad`,
        'link set eth0 up',
        'route add 169.254.1.1 dev eth0 scope link',
        'route add default via 169.254.1.1 dev eth0',
        'route add default via fe80::1 dev eth0',
      ]
      must(['ip', '-n', pod, '-batch', '-'], `${lines.join('\n')}\n`)
    }
  } catch (error) {
    node.remove()
    throw error
  }
  return node
}
