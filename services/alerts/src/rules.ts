import type { Component } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { ResourceCache } from '@margay/kit/resources'
import type { Resource } from '@margay/schemas'
import { type Alert, readAlert } from './alert.ts'
import { compile, type Statement } from './statement.ts'

/** What is wrong with an alert (spec 0.3). */
export interface ErrorCondition {
  readonly type: string
  readonly message: string
}

/** A GlobalAlert as it stands: ready to run, or with the reason why not. */
export type Rule = {
  readonly uid: string
  readonly name: string
  /** When this form of it was taken over, unix ms. */
  readonly since: number
} & (
  | { readonly alert: Alert; readonly statement: Statement }
  | { readonly alert: null; readonly problem: ErrorCondition }
)

/** The GlobalAlerts of the cluster, compiled when they change. */
export interface Rules extends Component {
  list(): Rule[]
}

/** Follows the GlobalAlerts in the resource cache. */
export function createRules(
  config: { readonly database: string; readonly maxEvents: number },
  deps: { readonly resources: ResourceCache; now(): number },
): Rules {
  const rules = new Map<string, Rule>()
  let stop: (() => void) | undefined
  return {
    name: 'rules',
    async start() {
      for (const resource of deps.resources.list('globalalerts')) take(resource)
      stop = deps.resources.onChange(({ key, resource, previous }) => {
        if (!key.startsWith('globalalerts.')) return
        if (previous !== null) rules.delete(uidOf(previous))
        if (resource !== null) take(resource)
      })
    },
    async stop() {
      stop?.()
    },
    list: () => [...rules.values()],
  }

  function take(resource: Resource): void {
    const { name } = resource.metadata
    const uid = uidOf(resource)
    const since = deps.now()
    try {
      const alert = readAlert(resource)
      rules.set(uid, { uid, name, since, alert, statement: compile(alert, config) })
    } catch (error) {
      const type = error instanceof MargayError ? error.code : 'ALERT_INVALID'
      rules.set(uid, { uid, name, since, alert: null, problem: { type, message: messageOf(error) } })
    }
  }
}

const uidOf = ({ metadata }: Resource) => metadata.uid ?? metadata.name
