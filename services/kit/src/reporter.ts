import { type Logger, pino } from 'pino'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Component, Health } from './component.ts'

export type { Logger } from 'pino'

/** Log, metrics and health of a service, in one place. Metrics are named `margay_<service>_<name>`. */
export interface Reporter {
  readonly service: string
  readonly log: Logger
  readonly registry: Registry
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>
  gauge<L extends string = never>(name: string, help: string, labels?: readonly L[]): Gauge<L>
  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly L[],
  ): Histogram<L>
  /** A logger that writes at most three lines a minute; the rest is counted and told with the next line. */
  sampled(log?: Logger): (fields: object, message: string) => void
  /** Adds a component whose health counts for the service. */
  watch(component: Pick<Component, 'name' | 'health'>): void
  /** The worst state of all watched components, with every reason. */
  health(): Health & { readonly components: Readonly<Record<string, Health>> }
}

/** Makes the reporter of a service. Lines are JSON on standard output, or readable when a person watches. */
export function createReporter(service: string, config: { readonly level: string }): Reporter {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'margay_' })
  const pretty = process.stdout.isTTY === true
  const log = pino({
    level: config.level,
    base: { service },
    redact: ['password', 'token', '*.password', '*.token'],
    ...(pretty
      ? { transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname', translateTime: 'HH:MM:ss' } } }
      : {}),
  })
  const watched: Pick<Component, 'name' | 'health'>[] = []
  const full = (name: string) => `margay_${service}_${name}`
  return {
    service,
    log,
    registry,
    counter: (name, help, labels = []) =>
      new Counter({ name: full(name), help, labelNames: [...labels], registers: [registry] }),
    gauge: (name, help, labels = []) =>
      new Gauge({ name: full(name), help, labelNames: [...labels], registers: [registry] }),
    histogram: (name, help, buckets, labels = []) =>
      new Histogram({ name: full(name), help, buckets: [...buckets], labelNames: [...labels], registers: [registry] }),
    sampled(target = log) {
      let minute = 0
      let written = 0
      let held = 0
      return (fields, message) => {
        const now = Math.floor(Date.now() / 60_000)
        if (now !== minute) {
          minute = now
          written = 0
        }
        if (written < 3) {
          written += 1
          target.warn(held > 0 ? { ...fields, notShown: held } : fields, message)
          held = 0
        } else held += 1
      }
    },
    watch: (component) => {
      watched.push(component)
    },
    health() {
      const components = Object.fromEntries(watched.map((c) => [c.name, c.health?.() ?? { state: 'ok' as const }]))
      const all = Object.values(components)
      const state = all.some((h) => h.state === 'down')
        ? 'down'
        : all.some((h) => h.state === 'degraded')
          ? 'degraded'
          : 'ok'
      const reason = Object.entries(components)
        .filter(([, h]) => h.state !== 'ok')
        .map(([name, h]) => `${name}: ${h.reason ?? h.state}`)
        .join('; ')
      return reason === '' ? { state, components } : { state, reason, components }
    },
  }
}
