import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import { inNamedNetns } from '@margay/kit/netns'
import type { Reporter } from '@margay/kit/reporter'
import type { GoverningTier, ModelChanges, PolicyModel } from '@margay/schemas'
import { createDenyList, type DenyList, type XdpModes } from '../bpf/deny-list.ts'
import { openBpf } from '../bpf/kernel.ts'
import type { Capability, Dataplane } from '../dataplane/dataplane.ts'
import { type DenySources, denySources } from './deny-sources.ts'
import type { HostPlacement } from './host-endpoints.ts'

/**
 * Drops packets of deny lists at the driver of interfaces with a host endpoint of their own, where configuration allows it and the kernel
 * can. The rules of the data plane say the same, so nothing depends on it.
 */
export interface DenyAccelerator extends Component {
  /** After the data plane has been programmed. Never throws: what it cannot do stays to the rules. */
  update(policy: {
    readonly changes: Pick<ModelChanges, 'sets' | 'settings'>
    readonly hosts: HostPlacement
    readonly modes: XdpModes
  }): void
  readonly capability: Capability
}

interface Accelerated {
  readonly list: DenyList
  governing: readonly GoverningTier[]
  sources: DenySources
}

const off: Capability = { on: false, reason: 'xdpEnabled is not set' }
const unneeded: Capability = { on: false, reason: 'no host endpoint has a deny list' }

/** There is nothing to do. */
const idle = [off, unneeded]
const countMs = 5000

/** Makes the accelerator of a node. */
export function createDenyAccelerator(
  config: { readonly node: string; readonly netns: string | null },
  deps: { readonly model: PolicyModel; readonly reporter: Reporter },
): DenyAccelerator {
  const { model, reporter } = deps
  const lists = new Map<string, Accelerated>()
  let capability = off
  /** Drops of lists that are no more. */
  let past = 0
  let modesInForce = ''
  let timer: NodeJS.Timeout | undefined
  const packets = reporter.gauge(
    'denied_early_packets',
    'packets that deny lists dropped at the driver since the start',
  )

  function count(): void {
    try {
      packets.set([...lists.values()].reduce((sum, { list }) => sum + list.dropped(), past))
    } catch (error) {
      reporter.log.warn({ error: messageOf(error) }, 'packets dropped early not counted')
    }
  }

  function drop(name: string): void {
    const known = lists.get(name)
    if (known === undefined) return
    lists.delete(name)
    try {
      past += known.list.dropped()
    } finally {
      known.list.close()
    }
  }

  function inside<T>(action: () => T): T {
    return inNamedNetns(config.netns, action)
  }

  function create(name: string, modes: XdpModes): DenyList {
    return inside(() => {
      const calls = openBpf()
      const failsafes = {
        inbound: model.failsafes('ingress', config.node),
        outbound: model.failsafes('egress', config.node),
      }
      return createDenyList(calls, { interfaceIndex: calls.interfaceIndex(name), modes, failsafes })
    })
  }

  /** Puts an interface in order; the reason why it cannot be, or null. */
  function place(
    name: string,
    governing: readonly GoverningTier[],
    sources: DenySources,
    modes: XdpModes,
  ): string | null {
    try {
      const known = lists.get(name) ?? { list: create(name, modes), governing, sources }
      lists.set(name, known)
      known.list.set(sources.members)
      known.governing = governing
      known.sources = sources
      return null
    } catch (error) {
      drop(name)
      return `${name}: ${messageOf(error)}`
    }
  }

  return {
    update({ changes, hosts, modes }) {
      const isWanted = modes.native || modes.generic
      // Failsafe ports are part of the program, so other settings make other programs.
      const inForce = JSON.stringify(modes)
      const isAnew = changes.settings || inForce !== modesInForce
      modesInForce = inForce
      for (const name of [...lists.keys()]) if (isAnew || !hosts.named.has(name)) drop(name)
      const reasons: string[] = []
      if (isWanted)
        for (const [name, endpoint] of hosts.named) {
          const governing = model.governing(endpoint, 'ingress', 'untracked')
          const known = lists.get(name)
          const isSame = known?.governing === governing && [...known.sources.sets].every((id) => !changes.sets.has(id))
          if (isSame) continue
          const sources = denySources(governing, model)
          if (sources === null) drop(name)
          else {
            const reason = place(name, governing, sources, modes)
            if (reason !== null) reasons.push(reason)
          }
        }
      if (past > 0 || lists.size > 0) count()
      const before = capability.reason
      if (reasons.length > 0) capability = { on: false, reason: reasons.join('; ') }
      else capability = !isWanted ? off : lists.size > 0 ? { on: true } : unneeded
      if (reasons.length > 0 && capability.reason !== before)
        reporter.log.warn({ reason: capability.reason }, 'deny lists are left to the rules')
    },
    get capability() {
      return capability
    },
    name: 'deny accelerator',
    async start() {
      timer = setInterval(count, countMs)
    },
    async stop() {
      clearInterval(timer)
      for (const name of [...lists.keys()]) drop(name)
      count()
    },
    health: () =>
      capability.on || idle.includes(capability)
        ? { state: 'ok' }
        : { state: 'ok', reason: `deny lists are left to the rules: ${capability.reason}` },
  }
}

/** The data plane, followed by the accelerator: also when it fails, since policy denies those packets all the same. */
export function accelerated(
  dataplane: Dataplane,
  accelerator: Pick<DenyAccelerator, 'update'>,
  modes: () => XdpModes,
): Dataplane {
  const own: Pick<Dataplane, 'program'> = {
    async program(policy) {
      try {
        return await dataplane.program(policy)
      } finally {
        accelerator.update({ ...policy, modes: modes() })
      }
    },
  }
  return Object.assign(Object.create(dataplane) as Dataplane, own)
}
