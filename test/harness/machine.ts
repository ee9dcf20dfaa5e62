import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const runs = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore', env }).status === 0

/** Whether a lab in a real kernel can run here: root, iproute2 and nftables. */
export const canRunKernelLab =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  existsSync('/proc/sys/net') &&
  runs('nft', '--version') &&
  runs('ip', '-V')

/** Whether a Kafka broker can run here: Java, and Maven to fetch it. */
export const canRunKafka = runs('java', '-version') && runs('mvn', '-v')
