import type { Action, Direction, PolicyRef, PortRange, RuleHead } from './model.ts'
import type { Selector } from './selector/selector.ts'

/**
 * Policy whose selectors are flat (one selector over merged labels, spec 14, 2.3) but not yet resolved to address sets. All kinds of policy
 * become this, and every fault of a policy shows on the way here.
 */
export interface FlatPolicy {
  readonly ref: PolicyRef
  readonly staged: boolean
  readonly stagedAction: 'set' | 'delete' | null
  readonly order: number
  readonly selector: Selector
  readonly directions: readonly Direction[]
  readonly rules: Readonly<Record<Direction, readonly FlatRule[]>>
  readonly doNotTrack: boolean
  readonly preDnat: boolean
  readonly applyOnForward: boolean
}

/** A rule whose ends are selectors still. */
export interface FlatRule extends RuleHead {
  readonly source: FlatEntity
  readonly destination: FlatEntity
}

/** One end of a rule: selectors over merged labels, blocks, ports, a service, domains. All of them must match. */
export interface FlatEntity {
  readonly selector: Selector | null
  readonly notSelector: Selector | null
  readonly nets: readonly string[]
  readonly notNets: readonly string[]
  readonly ports: Ports
  readonly notPorts: Ports
  readonly service: { readonly namespace: string; readonly name: string } | null
  readonly domains: readonly string[]
}

/** Ports by number and by name; together one list of alternatives. */
export interface Ports {
  readonly ranges: readonly PortRange[]
  readonly names: readonly string[]
}

/** A policy that cannot be compiled, and why. */
export class PolicyError extends Error {
  readonly code = 'POLICY_INVALID'

  constructor(message: string) {
    super(message)
    this.name = 'PolicyError'
  }
}

/** The end that matches everything. */
export const anyEntity: FlatEntity = {
  selector: null,
  notSelector: null,
  nets: [],
  notNets: [],
  ports: { ranges: [], names: [] },
  notPorts: { ranges: [], names: [] },
  service: null,
  domains: [],
}

/** A rule that matches every packet. */
export function anyRule(index: number, action: Action): FlatRule {
  return {
    index,
    action,
    ipVersion: null,
    protocol: null,
    notProtocol: null,
    icmp: null,
    notIcmp: null,
    http: null,
    source: anyEntity,
    destination: anyEntity,
  }
}

/** Unique name of a policy: `<kind>:[<namespace>/]<name>`. */
export function policyId({ kind, namespace, name }: PolicyRef): string {
  return `${kind}:${namespace === null ? '' : `${namespace}/`}${name}`
}
