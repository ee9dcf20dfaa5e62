import { type Call, defaultEveryMs } from './call.ts'
import type { PodSpec } from './pod-template.ts'

const schemePorts: Readonly<Record<string, number>> = {
  http: 80,
  https: 443,
  ws: 80,
  redis: 6379,
  postgres: 5432,
  postgresql: 5432,
  mysql: 3306,
  mongodb: 27_017,
  amqp: 5672,
  nats: 4222,
  kafka: 9092,
}

/**
 * The calls that a pod's environment reveals: a variable whose value is `host:port` or a URL of a service in the set.
 * `isService` tells whether a host as seen from the pod names one.
 */
export function environmentCalls(spec: PodSpec, isService: (host: string) => boolean): Call[] {
  const calls: Call[] = []
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const values = new Map<string, string>()
    for (const { name, value } of container.env ?? []) {
      const expanded = (value ?? '').replace(
        /\$\(([A-Za-z_]\w*)\)/g,
        (whole, other: string) => values.get(other) ?? whole,
      )
      values.set(name, expanded)
      for (const part of expanded.split(',')) {
        const target = targetOf(part.trim())
        if (target !== null && isService(target.host)) calls.push(target)
      }
    }
  }
  return calls
}

/** The address that a text is as a whole: `host:port`, or a URL of a scheme whose port is known. Null for anything else. */
export function targetOf(value: string): Call | null {
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:[^@/\s]*@)?([a-z0-9][a-z0-9.-]*)(?::(\d{1,5}))?(\/\S*)?$/i.exec(value)
  if (!match) return null
  const [, scheme, host = '', digits, path] = match
  // A path without a scheme is no address (`image/tag:1`), and neither is a name alone.
  if (scheme === undefined && (digits === undefined || path !== undefined)) return null
  const port = digits === undefined ? schemePorts[scheme?.toLowerCase() ?? ''] : Number(digits)
  if (port === undefined || port < 1 || port > 65_535) return null
  const isHttp = scheme === undefined ? false : ['http', 'ws'].includes(scheme.toLowerCase())
  return {
    scheme: isHttp ? 'http' : 'tcp',
    host: host.toLowerCase(),
    port,
    path: isHttp ? (path ?? '/') : '/',
    everyMs: defaultEveryMs,
    origin: 'environment',
  }
}
