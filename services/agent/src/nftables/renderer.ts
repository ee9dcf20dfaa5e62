import type { Direction, Endpoint, PolicyModel } from '@margay/schemas'
import type { NodePolicy } from '../dataplane/dataplane.ts'
import { type AddressSets, createAddressSets } from './address-sets.ts'
import { baseChains, baseSets, nflogGroups, workloadInterfaces } from './base-chains.ts'
import { type Family, familyOf } from './cidr.ts'
import { hookOf } from './denial.ts'
import { createEndpointClasses } from './endpoint-classes.ts'
import { hostChains } from './host-chains.ts'
import { createPolicyUnits } from './policy-units.ts'
import { type RenderOptions, servicePrefix } from './render.ts'
import { type Chain, dispatchMap, type NamedSet, namedSet } from './ruleset.ts'
import { createSetCollector } from './sets.ts'
import type { TablePlan } from './table-plan.ts'

/** Keeps the plan of a node's table at the policy of the node: what an edit costs follows from what it touches. */
export interface Renderer {
  /** Takes what has changed in the model, and the node's endpoints, interfaces and settings as they are now. */
  update(policy: NodePolicy): void
  /** The kernel holds the plan. */
  written(): void
  /**
   * The kernel refused a policy: its last good form takes its place, or none. False when nothing of that name could be to blame.
   * The policy is tried again when it changes.
   */
  refuse(cause: string, reason: string): boolean
  /** Refused policies with the kernel's reason. */
  readonly refused: ReadonlyMap<string, string>
  /** Enforced policies that select an endpoint of the node. */
  readonly policies: number
}

interface Local {
  readonly endpoint: Endpoint
  readonly interfaceName: string
  readonly classes: Record<Direction, string>
}

const directions = ['ingress', 'egress'] as const

/** Makes the renderer of a model whose chains and sets go into a plan. */
export function createRenderer(model: PolicyModel, plan: TablePlan): Renderer {
  const addressSets: AddressSets = createAddressSets(model, plan.elements)
  const units = createPolicyUnits({ plan, addressSets })
  const classes = createEndpointClasses({ model, plan, units })
  let locals = new Map<string, Local>()
  /** Classes of host endpoints: `<class> <endpoint>` of every user. */
  let hostUsers = new Map<string, { readonly name: string; readonly user: string }>()
  let options: RenderOptions | null = null
  let settings = ''

  function placeLocals({ endpoints, changes }: NodePolicy): void {
    const present = new Map<string, Local>()
    let areMapsChanged = endpoints.length !== locals.size
    for (const { endpoint, interfaceName } of endpoints) {
      const { key } = endpoint
      const had = locals.get(key)
      const isSame = had !== undefined && had.endpoint === endpoint && !changes.tiers && !changes.endpoints.has(key)
      const names = isSame ? had.classes : useClasses(endpoint)
      if (had !== undefined && !isSame)
        for (const direction of directions)
          if (had.classes[direction] !== names[direction]) classes.leave(had.classes[direction], key)
      areMapsChanged ||=
        had?.interfaceName !== interfaceName ||
        `${had.endpoint.ips}` !== `${endpoint.ips}` ||
        directions.some((d) => had.classes[d] !== names[d])
      present.set(key, { endpoint, interfaceName, classes: names })
    }
    for (const [key, { classes: names }] of locals)
      if (!present.has(key)) {
        areMapsChanged = true
        for (const direction of directions) classes.leave(names[direction], key)
      }
    locals = present
    if (areMapsChanged || options === null) putDispatch()
  }

  const useClasses = (endpoint: Endpoint) => {
    const use = (direction: Direction) =>
      classes.use(endpoint, { direction, stage: 'normal', hook: hookOf('normal') }, endpoint.key)
    return { ingress: use('ingress'), egress: use('egress') }
  }

  /** Addresses of endpoints with the interfaces that their packets come from. */
  function sources(family: Family): NamedSet {
    const elements = [...locals.values()].flatMap(({ endpoint, interfaceName }) =>
      endpoint.ips.filter((ip) => familyOf(ip) === family).map((ip) => `"${interfaceName}" . ${ip}`),
    )
    return namedSet(`type ifname . ipv${family}_addr;`, elements)
  }

  /** The maps from interfaces to classes, and whose addresses may come from where. */
  function putDispatch(): void {
    const map = (direction: Direction) =>
      dispatchMap(
        'ifname',
        new Map(
          [...locals.values()].map((local) => [
            `"${local.interfaceName}"`,
            `jump ${classes.gate(local.classes[direction])}`,
          ]),
        ),
      )
    const sets = new Map([
      ['to-workloads', map('ingress')],
      ['from-workloads', map('egress')],
      ['sources-4', sources(4)],
      ['sources-6', sources(6)],
    ])
    plan.put('dispatch', { chains: new Map(), sets, hits: new Map(), cause: null })
  }

  /** The chains of the hooks and of host endpoints; they are few. */
  function putHooks({ node, hosts }: NodePolicy, { denial, serviceIps }: RenderOptions): void {
    const sets = createSetCollector(addressSets)
    const users = new Map<string, { readonly name: string; readonly user: string }>()
    const host = hostChains(
      { node, model, hosts, isRejecting: denial.action === 'reject' },
      {
        sets,
        classChain(endpoint, direction, stage, hook = hookOf(stage)) {
          const user = `host ${endpoint.key}`
          const name = classes.use(endpoint, { direction, stage, hook }, user)
          users.set(`${name} ${user}`, { name, user })
          return name
        },
      },
    )
    for (const [key, { name, user }] of hostUsers) if (!users.has(key)) classes.leave(name, user)
    hostUsers = users
    const chains = new Map<string, Chain>(baseChains(model.endpointToHostAction(node), host))
    const services = beforeNat(serviceIps, (family) => sets.addressList('services', serviceIps, family))
    // A hook costs every packet, also when it has no rules.
    if (services.rules.length > 0) chains.set('before-nat', services)
    const all = new Map<string, NamedSet>([...sets.sets, ...baseSets, ...host.sets])
    plan.put('hooks', { chains, sets: all, hits: new Map(), cause: null })
  }

  function refresh(now: RenderOptions): void {
    classes.prune()
    classes.mark(units.refresh(now.denial))
    classes.refresh(now)
  }

  return {
    refused: units.refused,
    get policies() {
      return units.policies
    },
    update(policy) {
      const { changes } = policy
      const present = JSON.stringify({ ...policy.options, serviceIps: null })
      if (present !== settings) {
        units.all()
        classes.mark('all')
      }
      for (const id of addressSets.follow(changes.sets)) units.reshaped(id)
      placeLocals(policy)
      putHooks(policy, policy.options)
      classes.reruled([...changes.policies, ...[...changes.profiles].map((name) => `profile:${name}`)])
      settings = present
      options = policy.options
      refresh(options)
    },
    written: units.written,
    refuse(cause, reason) {
      const users = units.refuse(cause, reason)
      if (users.size === 0 || options === null) return false
      classes.mark(users)
      refresh(options)
      return true
    },
  }
}

/** Tells what a connection addresses before DNAT hides it. */
function beforeNat(ips: ReadonlySet<string>, listed: (family: 4 | 6) => string | null): Chain {
  const rules = ([4, 6] as const).flatMap((family) => {
    const name = ips.size === 0 ? null : listed(family)
    if (name === null) return []
    const match = [`iifname "${workloadInterfaces}"`, 'ct state new', `${family === 4 ? 'ip' : 'ip6'} daddr ${name}`]
    // To both groups: each keeps its own order, and the verdicts must come after it.
    return [nflogGroups.egress, nflogGroups.ingress].map((group) => [
      ...match,
      `log prefix "${servicePrefix}" group ${group} snaplen 80`,
    ])
  })
  return { hook: 'type filter hook prerouting priority mangle; policy accept;', rules }
}
