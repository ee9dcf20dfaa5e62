import type { Direction, Endpoint, PolicyModel } from '@margay/schemas'
import { classRules, type EndpointClass, profileRef } from './class-rules.ts'
import { hookOf } from './denial.ts'
import { classMark, hexadecimal, mostClasses } from './marks.ts'
import { shortHash } from './names.ts'
import type { Place } from './policy-chains.ts'
import type { PolicyUnits } from './policy-units.ts'
import type { RenderOptions } from './render.ts'
import { dispatchMap } from './ruleset.ts'
import type { TablePlan } from './table-plan.ts'

/** The chains that endpoints with the same tiers, policies and profiles share, as long as one of them needs them. */
export interface EndpointClasses {
  /** The chain of an endpoint at a place, made when there is none; `user` needs it until it leaves. */
  use(endpoint: Endpoint, place: Place, user: string): string
  /** The chain that leads a workload's packets to its class. */
  gate(name: string): string
  leave(name: string, user: string): void
  /** The rules of policies, or of profiles by `profile:<name>`, are others: their classes ask them anew. */
  reruled(ids: Iterable<string>): void
  /** The chains are to be rendered again: those named, or all. */
  mark(names: Iterable<string> | 'all'): void
  /** Gives up what nobody needs. */
  prune(): void
  /** Renders what is marked. */
  refresh(options: RenderOptions): void
}

interface Kept {
  /** With the policies as they are now. */
  is: EndpointClass
  /** Who needs it, and for which endpoint. */
  readonly users: Map<string, Endpoint>
  /** Units that it asks. */
  units: ReadonlySet<string>
}

/** Makes an empty collection. */
export function createEndpointClasses(deps: {
  readonly model: Pick<PolicyModel, 'governing' | 'profile' | 'endpoint'>
  readonly plan: Pick<TablePlan, 'put'>
  readonly units: PolicyUnits
}): EndpointClasses {
  const { model, plan, units } = deps
  const classes = new Map<string, Kept>()
  const marked = new Set<string>()
  const idle = new Set<string>()
  /** Made since the last `refresh`, by what policies say now. */
  const made = new Set<string>()
  const numbers = new Set<number>()
  let lastNumber = 0
  let areGatesChanged = false
  let isDispatched = false

  /** A number that was not in use for as long as possible: a packet on its way may still bear it. */
  function freeNumber(): number {
    do lastNumber = (lastNumber % mostClasses) + 1
    while (numbers.has(lastNumber))
    numbers.add(lastNumber)
    return lastNumber
  }

  /** The maps from numbers to classes. */
  function putDispatch(): void {
    const map = (direction: Direction) => {
      const elements = new Map<string, string>()
      for (const { is } of classes.values())
        if (is.gate !== null && is.direction === direction)
          elements.set(hexadecimal(classMark(is.gate.number)), `goto ${is.name}`)
      return dispatchMap('mark', elements)
    }
    const sets = new Map([
      ['to-classes', map('ingress')],
      ['from-classes', map('egress')],
    ])
    plan.put('classes', { chains: new Map(), sets, hits: new Map(), cause: null })
    areGatesChanged = false
    isDispatched = true
  }

  /** What an endpoint's class is: its name follows from the rest. */
  function classOf(endpoint: Endpoint, place: Place): Omit<EndpointClass, 'gate'> {
    const { direction, stage, hook } = place
    const tiers = model
      .governing(endpoint, direction, stage)
      .map(({ tier, policies }) => ({ tier, policies: policies.filter((policy) => !policy.staged) }))
      .filter(({ policies }) => policies.length > 0)
    const profiles = stage === 'normal' ? endpoint.profiles : []
    const identity = JSON.stringify([
      tiers.map(({ tier, policies }) => [tier.name, tier.defaultAction, policies.map((policy) => policy.id)]),
      profiles,
      ...(endpoint.kind === 'hep' ? ['host'] : []),
      ...(stage === 'normal' ? [] : [stage]),
      ...(hook === hookOf(stage) ? [] : [hook]),
    ])
    const name = `${direction === 'ingress' ? 'to' : 'from'}-${shortHash(identity)}`
    return { name, kind: endpoint.kind, tiers, profiles, ...place }
  }

  /** Asks for the units of a class with the rules that its policies have now, and leaves those it no longer needs. */
  function askUnits(kept: Kept): void {
    const { name, tiers, profiles, direction, stage, hook } = kept.is
    const place = { direction, stage, hook }
    const asked = new Set<string>()
    for (const { policies } of tiers)
      for (const { id, ref, ...policy } of policies)
        asked.add(units.use({ id, ref, rules: policy[direction], place }, name))
    for (const profile of profiles) {
      const rules = model.profile(profile)?.[direction] ?? noRules
      asked.add(units.use({ id: profileId(profile), ref: profileRef(profile), rules, place }, name))
    }
    for (const key of kept.units) if (!asked.has(key)) units.leave(key, name)
    kept.units = asked
  }

  function render(kept: Kept, options: RenderOptions): void {
    const { name, tiers, direction, stage, hook } = kept.is
    const key = (id: string) => `${id} ${direction} ${stage} ${hook}`
    const present = tiers
      .map(({ tier, policies }) => ({ tier, policies: policies.filter(({ id }) => !units.isAbsent(id)) }))
      .filter(({ policies }) => policies.length > 0)
    const { chains, hits } = classRules(
      { ...kept.is, tiers: present },
      {
        entryOf: (asked) => units.entry(key('profile' in asked ? profileId(asked.profile) : asked.id)),
        options,
      },
    )
    const [user] = kept.users.values()
    plan.put(name, { chains, sets: new Map(), hits, cause: user?.key ?? null })
  }

  return {
    use(endpoint, place, user) {
      const found = classOf(endpoint, place)
      let kept = classes.get(found.name)
      if (kept === undefined) {
        const gate = endpoint.kind === 'wep' ? { chain: `${found.name}-gate`, number: freeNumber() } : null
        kept = { is: { ...found, gate }, users: new Map(), units: new Set() }
        areGatesChanged ||= gate !== null
        classes.set(found.name, kept)
        askUnits(kept)
        marked.add(found.name)
        made.add(found.name)
      }
      kept.users.set(user, endpoint)
      idle.delete(found.name)
      return found.name
    },
    gate: (name) => classes.get(name)?.is.gate?.chain ?? name,
    leave(name, user) {
      const kept = classes.get(name)
      if (kept?.users.delete(user) === true && kept.users.size === 0) idle.add(name)
    },
    reruled(ids) {
      const names = new Set<string>()
      for (const id of ids) for (const name of units.usersOf(id)) if (!made.has(name)) names.add(name)
      for (const name of names) {
        const kept = classes.get(name) as Kept
        const [user] = kept.users.values()
        const endpoint = user === undefined ? null : model.endpoint(user.key)
        if (endpoint === null) continue
        const { direction, stage, hook } = kept.is
        const is = classOf(endpoint, { direction, stage, hook })
        // Otherwise the endpoint has another class by now, and this one soon no user.
        if (is.name !== name) continue
        kept.is = { ...is, gate: kept.is.gate }
        askUnits(kept)
      }
    },
    mark(names) {
      for (const name of names === 'all' ? classes.keys() : names) marked.add(name)
    },
    prune() {
      for (const name of idle) {
        const kept = classes.get(name)
        if (kept === undefined || kept.users.size > 0) continue
        for (const key of kept.units) units.leave(key, name)
        plan.put(name, null)
        classes.delete(name)
        marked.delete(name)
        if (kept.is.gate === null) continue
        numbers.delete(kept.is.gate.number)
        areGatesChanged = true
      }
      idle.clear()
    },
    refresh(options) {
      for (const name of marked) render(classes.get(name) as Kept, options)
      marked.clear()
      made.clear()
      if (areGatesChanged || !isDispatched) putDispatch()
    },
  }
}

const noRules = [] as const
const profileId = (name: string) => `profile:${name}`
