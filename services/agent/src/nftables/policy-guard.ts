import type { PortRange, Rule } from '@margay/schemas'

/** A policy with more ports than this is walked without asking first. */
const mostPorts = 256

/**
 * The destination ports outside which no rule of a list matches, so that a packet to another port can pass the whole policy by with one
 * look into a set; null when some rule does not ask for ports by number.
 */
export function guardedPorts(rules: readonly Rule[]): readonly PortRange[] | null {
  const ports: PortRange[] = []
  for (const { destination } of rules) {
    if (destination.ports.length === 0 || destination.portSets.length > 0) return null
    ports.push(...destination.ports)
    if (ports.length > mostPorts) return null
  }
  return ports.length === 0 ? null : ports
}
