import type { Component } from '@margay/kit/component'
import type { Resource } from '@margay/schemas'
import type { Callers } from './callers.ts'
import { type Document, parseDocuments } from './manifests/documents.ts'
import { type LabPlan, makePlan, podKey } from './manifests/plan.ts'
import { publishedResources } from './manifests/published.ts'
import type { LabNetwork } from './network.ts'
import type { Publisher } from './publisher.ts'

/** A change of a running lab, told in lines such as `pod default/x added`. */
export interface LabChange {
  readonly results: readonly string[]
  readonly notes: readonly string[]
}

/** A running lab: its plan, brought into being, published, and changed while it runs. */
export interface Lab extends Component {
  readonly plan: LabPlan
  readonly network: LabNetwork
  readonly callers: Callers
  /** Brings up what a manifest holds, or changes what is there by the same name. Throws LAB_MANIFEST_INVALID. */
  add(text: string, file: string): Promise<LabChange>
  /** Takes down what a manifest names. Throws LAB_MANIFEST_INVALID. */
  remove(text: string, file: string): Promise<LabChange>
}

/** What a lab is made from. */
export interface LabConfig {
  readonly id: string
  readonly nodes: number
  /** Pods have IPv6 too; the kernel must have it. */
  readonly ipv6?: boolean
  readonly documents: readonly Document[]
}

const identity = ({ resource }: Document) =>
  `${resource.kind}/${resource.metadata.namespace ?? 'default'}/${resource.metadata.name}`

/** Makes a lab; at its start the network comes up. Publishing and calling begin when their components start. */
export function createLab(
  config: LabConfig,
  deps: { readonly network: LabNetwork; readonly callers: Callers; readonly publisher: Publisher },
): Lab {
  const { network, callers, publisher } = deps
  let documents = [...config.documents]
  let plan = makePlan(documents, config)
  let queue: Promise<unknown> = Promise.resolve()

  /** Changes come one after another, each as a whole. */
  function change(edit: (documents: readonly Document[]) => Document[]): Promise<LabChange> {
    const done = queue.then(async () => {
      const edited = edit(documents)
      const next = makePlan(edited, { ...config, previous: plan })
      await network.update(next)
      const results = differences(plan, next)
      const notes = next.notes.filter((note) => !plan.notes.includes(note))
      documents = edited
      plan = next
      callers.update(next)
      await publisher.publish(publishedResources(next))
      return { results, notes: [...notes, ...publisher.refused] }
    })
    queue = done.catch(() => {})
    return done
  }

  return {
    name: 'lab',
    get plan() {
      return plan
    },
    network,
    callers,
    async start() {
      await network.update(plan)
      callers.update(plan)
    },
    add(text, file) {
      const given = parseDocuments(text, file)
      const keys = new Set(given.map(identity))
      return change((current) => [...current.filter((document) => !keys.has(identity(document))), ...given])
    },
    remove(text, file) {
      const keys = new Set(parseDocuments(text, file).map(identity))
      return change((current) => current.filter((document) => !keys.has(identity(document))))
    },
  }
}

function differences(before: LabPlan, after: LabPlan): string[] {
  const lists = [
    ['pod', before.pods.map(podKey), after.pods.map(podKey)],
    ['service', before.services.map(podKey), after.services.map(podKey)],
    ['resource', before.others.map(named), after.others.map(named)],
  ] as const
  return lists.flatMap(([what, old, now]) => [
    ...old.filter((key) => !now.includes(key)).map((key) => `${what} ${key} removed`),
    ...now.filter((key) => !old.includes(key)).map((key) => `${what} ${key} added`),
  ])
}

const named = ({ kind, metadata: { namespace, name } }: Resource) =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
