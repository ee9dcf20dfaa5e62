import { spawnSync } from 'node:child_process'

/** What is known of the machine. */
export interface Machine {
  readonly platform: string
  /** User id; undefined where there is none. */
  readonly uid: number | undefined
  /** Runs a program to its end: null when it succeeded, otherwise what it said. */
  run(program: string, ...args: string[]): string | null
}

/** Why the kernel cannot carry the lab, with what to do; null when it can. Nothing of the trials is left. */
export function kernelObstacle({ platform, uid, run }: Machine): string | null {
  if (platform !== 'linux') return 'network namespaces need Linux'
  if (uid !== 0) return 'network namespaces need root: start as root (sudo) to have the lab in the kernel'
  if (run('ip', '-V') !== null) return 'the program ip is missing: install the package iproute2'
  if (run('nft', '--version') !== null) return 'the program nft is missing: install the package nftables'
  // A table in a namespace without a name: both end with the program.
  const refusal = run('unshare', '--net', '--mount', 'nft', 'add', 'table', 'ip', 'margay-trial')
  if (refusal !== null)
    return `this kernel or container gives no network namespaces with nftables (${refusal}): run on the host, or privileged`
  return null
}

/** Whether network namespaces have IPv6. */
export function hasIpv6({ run }: Pick<Machine, 'run'>): boolean {
  const setting = '/proc/sys/net/ipv6/conf/all/disable_ipv6'
  return (
    run('unshare', '--net', '--mount', 'sh', '-c', `echo 0 > ${setting} && ip addr add fd00::1/128 dev lo`) === null
  )
}

/** Runs a program and waits; for the few trials before the start. */
export function runTrial(program: string, ...args: string[]): string | null {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  if (status === 0) return null
  return error?.message ?? stderr.trim().split('\n')[0] ?? `code ${status}`
}
