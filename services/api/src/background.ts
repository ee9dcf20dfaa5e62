import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'

/**
 * A component whose start nobody waits for, and whose failure to start stops nothing: the API serves resources and live
 * events while ClickHouse is away.
 */
export function inBackground(component: Component, reporter: Reporter): Component {
  let starting: Promise<void> | undefined
  let stopped = false
  return {
    name: component.name,
    async start() {
      starting = component.start?.().catch((error: unknown) => {
        if (!stopped) reporter.log.warn({ component: component.name, error: messageOf(error) }, 'not started')
      })
    },
    async stop() {
      stopped = true
      await component.stop?.()
      await starting
    },
    health: () => component.health?.() ?? { state: 'ok' },
  }
}
