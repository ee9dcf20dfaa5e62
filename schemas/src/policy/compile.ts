import type { FlatEntity, FlatPolicy, FlatRule } from './flat-policy.ts'
import { policyId } from './flat-policy.ts'
import type { Direction, EntityMatch, Policy, Profile, Rule } from './model.ts'
import type { FlatProfile } from './profiles.ts'
import type { Selection } from './selection-index.ts'
import type { Hold, SetRegistry } from './set-registry.ts'

/** A compiled thing, what it holds, and the selections whose network sets' domain names are part of it. */
export interface Compiled<T> {
  readonly value: T
  readonly holds: readonly Hold[]
  readonly domainSelections: readonly Selection[]
}

interface Context {
  readonly sets: SetRegistry
  readonly holds: Hold[]
  readonly domainSelections: Selection[]
}

/** Resolves the selectors of a policy's rules to address sets. */
export function compilePolicy(flat: FlatPolicy, sets: SetRegistry): Compiled<Policy> {
  const context: Context = { sets, holds: [], domainSelections: [] }
  const rules = (direction: Direction) => flat.rules[direction].flatMap((rule) => compileRule(rule, direction, context))
  const value: Policy = {
    ref: flat.ref,
    id: policyId(flat.ref),
    staged: flat.staged,
    order: flat.order,
    selector: flat.selector.canonical,
    directions: flat.directions,
    ingress: rules('ingress'),
    egress: rules('egress'),
    doNotTrack: flat.doNotTrack,
    preDnat: flat.preDnat,
    applyOnForward: flat.applyOnForward,
    ...(flat.stagedAction !== null && { stagedAction: flat.stagedAction }),
  }
  return { value, holds: context.holds, domainSelections: context.domainSelections }
}

/** Resolves the selectors of a profile's rules to address sets. */
export function compileProfile(flat: FlatProfile, sets: SetRegistry): Compiled<Profile> {
  const context: Context = { sets, holds: [], domainSelections: [] }
  const value: Profile = {
    name: flat.name,
    ingress: flat.ingress.flatMap((rule) => compileRule(rule, 'ingress', context)),
    egress: flat.egress.flatMap((rule) => compileRule(rule, 'egress', context)),
  }
  return { value, holds: context.holds, domainSelections: context.domainSelections }
}

/**
 * Compiles one rule. An egress Allow whose destination selects network sets with domain names becomes two rules of one position: to their
 * addresses, and to the addresses that DNS answers give their names. (All the sets of one side must hold, so one rule cannot say "or".)
 */
function compileRule(flat: FlatRule, direction: Direction, context: Context): Rule[] {
  const { index, action, ipVersion, protocol, notProtocol, icmp, notIcmp, http } = flat
  const source = compileEntity(flat.source, flat, 'source', context)
  const destination = compileEntity(flat.destination, flat, 'destination', context)
  const rule: Rule = { index, action, ipVersion, protocol, notProtocol, icmp, notIcmp, http, source, destination }
  const { selector } = flat.destination
  if (direction !== 'egress' || action !== 'allow' || selector === null) return [rule]
  const { selection } = context.sets.selector(selector, context.holds)
  context.domainSelections.push(selection)
  const domains = selection.domains()
  return domains.length === 0 ? [rule] : [rule, { ...rule, destination: { ...destination, sets: none, domains } }]
}

/** The domain names that were compiled in, as one text: when it differs, the thing must be compiled again. */
export function domainKey({ domainSelections }: Compiled<unknown>): string {
  return [...new Set(domainSelections.flatMap((selection) => selection.domains()))].sort().join(' ')
}

/** Most lists of most rules are empty: they are all this one. */
const none: readonly never[] = []
const shared = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? none : list)

/** The end of a rule that matches everything. */
const anything: EntityMatch = {
  selector: null,
  notSelector: null,
  sets: none,
  notSets: none,
  nets: none,
  notNets: none,
  ports: none,
  portSets: none,
  notPorts: none,
  notPortSets: none,
  domains: none,
}

const isAnything = ({ selector, notSelector, nets, notNets, ports, notPorts, service, domains }: FlatEntity) =>
  selector === null &&
  notSelector === null &&
  service === null &&
  nets.length + notNets.length + domains.length === 0 &&
  ports.ranges.length + ports.names.length + notPorts.ranges.length + notPorts.names.length === 0

function compileEntity(
  entity: FlatEntity,
  { protocol }: FlatRule,
  side: 'source' | 'destination',
  { sets, holds }: Context,
): EntityMatch {
  if (isAnything(entity)) return anything
  const { selector, notSelector, service } = entity
  const named = (names: readonly string[]) =>
    names.length === 0 ? none : names.map((name) => sets.namedPort({ name, protocol, selector }, holds))
  // A service is its addresses and ports where traffic goes to it, its addresses alone where traffic comes from it.
  const from = service !== null && side === 'source' ? [sets.service(service, 'net', holds)] : none
  const to = service !== null && side === 'destination' ? [sets.service(service, 'ip-port', holds)] : none
  return {
    selector: selector?.canonical ?? null,
    notSelector: notSelector?.canonical ?? null,
    sets: selector === null ? from : [sets.selector(selector, holds).id, ...from],
    notSets: notSelector === null ? none : [sets.selector(notSelector, holds).id],
    nets: shared(entity.nets),
    notNets: shared(entity.notNets),
    ports: shared(entity.ports.ranges),
    portSets: to.length === 0 ? named(entity.ports.names) : [...named(entity.ports.names), ...to],
    notPorts: shared(entity.notPorts.ranges),
    notPortSets: named(entity.notPorts.names),
    domains: shared(entity.domains),
  }
}
