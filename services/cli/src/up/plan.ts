import type { Config } from '@margay/kit/config'

/** What `margay up` found out before it starts anything. */
export interface Ground {
  readonly enginePort: number
  readonly enginePasswordFile: string
}

/** A node of the lab, as the lab tells it when its network stands. */
export interface LabNode {
  readonly name: string
  readonly netns: string
}

/** The environment that makes every service of one `margay up` meet: same home, same engine. */
export function sharedEnvironment(config: Config, ground: Ground): Record<string, string> {
  const shared: Record<string, string> = { MARGAY_HOME: config.home, MARGAY_API__PORT: String(config.api.port) }
  if (config.clickhouse.url === undefined) {
    shared.MARGAY_CLICKHOUSE__URL = `http://127.0.0.1:${ground.enginePort}`
    shared.MARGAY_CLICKHOUSE__PASSWORD_FILE = ground.enginePasswordFile
    shared.MARGAY_ENGINE__PORT = String(ground.enginePort)
    shared.MARGAY_ENGINE__PASSWORD_FILE = ground.enginePasswordFile
  }
  return shared
}

/** Services that start at once, in the order in which they are stopped last to first. */
export function servicesOf(config: Config): readonly string[] {
  return [
    ...(config.clickhouse.url === undefined ? ['engine'] : []),
    'store',
    'api',
    'alerts',
    'compliance',
    ...(config.lab.enabled ? ['lab'] : []),
  ]
}

/** What a service needs in its environment beside what all share. */
export function environmentOf(service: string): Record<string, string> {
  // The engine's queries run on libuv's pool, whose size is read before Node starts.
  return service === 'engine' ? { UV_THREADPOOL_SIZE: '16' } : {}
}

/** The environment of the agent of one lab node. */
export function agentEnvironment(node: LabNode): Record<string, string> {
  return { MARGAY_AGENT__NODE: node.name, MARGAY_AGENT__NETNS: node.netns }
}
