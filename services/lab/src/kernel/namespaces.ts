import { closeSync, openSync, writeFileSync } from 'node:fs'
import { inNetns, netnsPath } from '@margay/kit/netns'

/** Open network namespaces by name. An open one lives on when its name is removed, so each must be closed. */
export interface Namespaces {
  /** Runs a synchronous action inside a namespace: sockets made in it belong to the namespace. */
  within<T>(netns: string, action: () => T): T
  /** Sets kernel parameters (paths under /proc/sys) of a namespace. */
  configure(netns: string, settings: Readonly<Record<string, string>>): void
  close(netns: string): void
  closeAll(): void
}

/** Makes an empty memory of network namespaces; each is opened when it is first entered. */
export function createNamespaces(): Namespaces {
  const open = new Map<string, number>()
  const fdOf = (netns: string) => {
    const fd = open.get(netns) ?? openSync(netnsPath(netns), 'r')
    open.set(netns, fd)
    return fd
  }
  const close = (netns: string) => {
    const fd = open.get(netns)
    if (fd === undefined) return
    open.delete(netns)
    closeSync(fd)
  }
  const within = <T>(netns: string, action: () => T): T => inNetns(fdOf(netns), action)
  return {
    within,
    configure(netns, settings) {
      within(netns, () => {
        for (const [path, value] of Object.entries(settings)) {
          try {
            writeFileSync(`/proc/sys/${path}`, value)
          } catch (error) {
            if (!path.startsWith('net/ipv6')) throw error // a kernel without IPv6 has nothing to switch off
          }
        }
      })
    },
    close,
    closeAll() {
      for (const netns of [...open.keys()]) close(netns)
    },
  }
}
