import type { ResourceKey, RightsDecision } from '@margay/schemas'
import type { FastifyRequest } from 'fastify'
import type { ApiContext } from '../context.ts'
import type { Refused } from '../resources/audit.ts'
import { forbidden, type ListWanted } from '../resources/guard.ts'
import { actorOf } from './actor.ts'

/** What somebody was about to do: with an object, with a kind (a key without name), or with logs (no key). */
export interface About {
  readonly verb: Refused['verb']
  readonly key: ResourceKey | null
}

/** Asks the guard on behalf of a request. What it does not allow throws FORBIDDEN, and the audit log is told. */
export interface Permission {
  /** To do something with one object. */
  toTouch(request: FastifyRequest, about: About & { readonly key: ResourceKey }): Promise<void>
  /** To list a kind; gives what decides which of its objects are shown. */
  toList(request: FastifyRequest, wanted: ListWanted): Promise<(resource: Shown) => boolean>
  /** To read events of data sets. */
  toReadLogs(request: FastifyRequest, dataSets: readonly string[]): Promise<void>
}

type Shown = Parameters<ReturnType<ApiContext['guard']['list']>['shows']>[0]

/** Makes the questions that routes ask. */
export function createPermission({ store, guard, now }: Pick<ApiContext, 'store' | 'guard' | 'now'>): Permission {
  async function require(decision: RightsDecision, request: FastifyRequest, { verb, key }: About): Promise<void> {
    if (decision.allowed) return
    const error = forbidden(decision.reason)
    const { status, code, message } = error
    await store.tellRefusal(actorOf(request, now()), [{ key, verb, object: null, status, code, message }])
    throw error
  }
  return {
    toTouch: (request, about) =>
      require(guard.decide(store, actorOf(request, now()), about.verb, about.key), request, about),
    async toList(request, wanted) {
      const { decision, shows } = guard.list(store, actorOf(request, now()), wanted)
      await require(decision, request, { verb: 'list', key: `${wanted.plural}/${wanted.namespace ?? '-'}/` })
      return shows
    },
    toReadLogs: (request, dataSets) =>
      require(guard.logs(store, actorOf(request, now()), dataSets), request, { verb: 'get', key: null }),
  }
}
