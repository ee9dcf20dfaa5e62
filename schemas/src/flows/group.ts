import type { FlowEvent } from '../events/flow.ts'
import type { Identity } from '../policy/model.ts'
import { createTcpTotals, type TcpTotals } from './tcp.ts'
import type { FlowUpdate } from './update.ts'

/** What is counted about one connection, or about all that become one event. */
export interface Tally {
  readonly totals: Totals
  /** Null until there is one. */
  domains: Set<string> | null
  natPorts: Set<number> | null
  tcp: TcpTotals | null
}

/** Columns that are added up. */
export type Totals = Pick<
  FlowEvent,
  'bytes_in' | 'bytes_out' | 'packets_in' | 'packets_out' | 'num_flows_started' | 'num_flows_completed'
>

/** A tally of nothing. */
export function createTally(): Tally {
  return {
    totals: {
      bytes_in: 0,
      bytes_out: 0,
      packets_in: 0,
      packets_out: 0,
      num_flows_started: 0,
      num_flows_completed: 0,
    },
    domains: null,
    natPorts: null,
    tcp: null,
  }
}

/** Adds an update to a tally. */
export function count(tally: Tally, update: FlowUpdate): void {
  const { totals } = tally
  totals.bytes_in += update.bytesIn
  totals.bytes_out += update.bytesOut
  totals.packets_in += update.packetsIn
  totals.packets_out += update.packetsOut
  totals.num_flows_started += update.started
  totals.num_flows_completed += update.completed
  if (update.domains !== undefined) tally.domains = union(tally.domains, update.domains)
  if (update.natPort !== undefined) tally.natPorts = union(tally.natPorts, [update.natPort])
  if (update.tcp !== undefined) {
    tally.tcp ??= createTcpTotals()
    tally.tcp.add(update.tcp)
  }
}

function union<T>(set: Set<T> | null, values: Iterable<T> | null): Set<T> | null {
  if (values === null) return set
  const all = set ?? new Set<T>()
  for (const value of values) all.add(value)
  return all
}

/** An event in the making, with what its connections have in common. */
export interface FlowGroup {
  /** Adds connections; `flows` is how many of them have not been counted. */
  merge(tally: Tally, flows: number, source: Identity, destination: Identity): void
  event(end: number, limits: { readonly domains: number; readonly natPorts: number }): FlowEvent
}

/** Makes a group of no connections. `base` has everything that they share; its counters are 0 and its lists empty. */
export function createFlowGroup(base: FlowEvent): FlowGroup {
  const all = createTally()
  const names = new Set<string>()
  const ports = new Set<number>()
  const event = { ...base }
  let isEmpty = true
  return {
    merge({ totals, domains, natPorts, tcp }, flows, source, destination) {
      event.source_labels = isEmpty ? [...source.labels] : intersection(event.source_labels, source.labels)
      event.dest_labels = isEmpty ? [...destination.labels] : intersection(event.dest_labels, destination.labels)
      isEmpty = false
      event.num_flows += flows
      for (const key of Object.keys(totals) as (keyof Totals)[]) event[key] += totals[key]
      for (const name of domains ?? []) names.add(name)
      for (const port of natPorts ?? []) ports.add(port)
      if (tcp === null) return
      all.tcp ??= createTcpTotals()
      all.tcp.merge(tcp)
    },
    event(end, limits) {
      return {
        ...event,
        end_time: end,
        dest_domains: [...names].slice(0, limits.domains).sort(),
        ...(ports.size === 0 ? {} : { nat_outgoing_ports: [...ports].slice(0, limits.natPorts) }),
        ...all.tcp?.columns(),
      }
    },
  }
}

function intersection(left: string[], right: readonly string[]): string[] {
  const members = new Set(right)
  return left.every((label) => members.has(label)) ? left : left.filter((label) => members.has(label))
}
