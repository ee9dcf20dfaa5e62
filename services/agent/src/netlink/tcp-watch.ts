import { readFileSync } from 'node:fs'
import { messageOf } from '@margay/kit/errors'
import { openBpf } from '../bpf/kernel.ts'
import { createTcpStatistics, type SocketState, type TcpStatistics } from '../bpf/tcp-statistics.ts'

/** Statistics of TCP in the network namespace of a thread, for as long as they are wanted and the kernel can give them. */
export interface TcpWatch {
  /** Begins, looks for new interfaces, or ends; gives why there are no statistics, or not of all pods. */
  want(on: boolean): string | null
  /** Sockets that have sent something since the call before; none while it is off. */
  read(): SocketState[]
}

/** Makes a watch on the interfaces whose name begins with `prefix`. */
export function createTcpWatch(prefix: string): TcpWatch {
  let statistics: TcpStatistics | null = null

  function stop(): void {
    statistics?.close()
    statistics = null
  }

  return {
    want(on) {
      if (!on) {
        stop()
        return null
      }
      try {
        statistics ??= createTcpStatistics(openBpf())
        return statistics.watch(interfaces(prefix))
      } catch (error) {
        return messageOf(error)
      }
    },
    read() {
      try {
        return statistics?.read() ?? []
      } catch {
        stop()
        return []
      }
    },
  }
}

/** Interfaces of the thread's own network namespace: two lines of heading, then `name: counters`. */
function interfaces(prefix: string): string[] {
  return readFileSync('/proc/thread-self/net/dev', 'utf8')
    .split('\n')
    .slice(2)
    .map((line) => line.slice(0, Math.max(0, line.indexOf(':'))).trim())
    .filter((name) => name.startsWith(prefix))
}
