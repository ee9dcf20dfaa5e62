import { once } from 'node:events'
import { createServer } from 'node:net'

/** Different loopback ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return (await freePorts(1))[0] as number
}
