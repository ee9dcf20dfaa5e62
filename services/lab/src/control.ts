import { MargayError, messageOf } from '@margay/kit/errors'
import type { EventLog } from '@margay/kit/event-log'
import type { createOperationsServer } from '@margay/kit/http'
import { internetOf } from './kernel/topology.ts'
import type { Lab } from './lab.ts'
import { type LabPod, podKey } from './manifests/plan.ts'
import { type Flush, type ProbeRequest, probe } from './probe.ts'
import { requirePod } from './target.ts'

type AddRoutes = NonNullable<Parameters<typeof createOperationsServer>[1]['routes']>
type Server = Parameters<AddRoutes>[0]

/** The lab's control routes on its socket: what runs, one pod, a probe, pods that come and go. Errors are problem documents. */
export function controlRoutes(deps: {
  readonly lab: Lab
  readonly log: EventLog | null
  readonly flush: Flush
  readonly now: () => number
  /** Why the lab is simulated; absent in the kernel. */
  readonly reason?: string | undefined
  /** What of the manifests could not be used at the start. */
  readonly notes: readonly string[]
}): AddRoutes {
  const { lab, reason } = deps
  return (server: Server) => {
    server.setErrorHandler((error, _request, reply) => {
      const known = error instanceof MargayError
      const status = known ? error.status : ((error as { statusCode?: number }).statusCode ?? 500)
      const code = known ? error.code : 'LAB_REQUEST_INVALID'
      return reply
        .code(status)
        .type('application/problem+json')
        .send({
          type: 'about:blank',
          title: code,
          status,
          code,
          detail: messageOf(error),
          ...(known ? error.details : {}),
        })
    })
    server.get('/status', () => {
      const { id, nodes, notes } = lab.plan
      return {
        id,
        mode: lab.network.mode,
        ...(reason === undefined ? {} : { reason }),
        nodes: nodes.map(({ name, netns, ip, ip6 }) => ({
          name,
          netns: lab.network.mode === 'kernel' ? netns : null,
          ip,
          ip6,
        })),
        internet: { netns: lab.network.mode === 'kernel' ? internetOf(id) : null },
        pods: lab.plan.pods.map(podStatus),
        notes: [...deps.notes, ...notes],
      }
    })
    server.get<{ Params: { namespace: string; name: string } }>('/pods/:namespace/:name', ({ params }) => {
      const pod = requirePod(lab.plan, `${params.namespace}/${params.name}`)
      return {
        ...podStatus(pod),
        netns: lab.network.mode === 'kernel' ? pod.netns : null,
        interfaceName: pod.interfaceName,
        labels: pod.labels,
        calls: lab.callers.records(podKey(pod)),
      }
    })
    server.post<{ Body: ProbeRequest }>('/probe', { schema: { body: probeBody } }, ({ body }) => probe(body, deps))
    server.post<{ Body: { text: string; file?: string } }>('/add', { schema: { body: changeBody } }, ({ body }) =>
      lab.add(body.text, body.file ?? 'request'),
    )
    server.post<{ Body: { text: string; file?: string } }>('/remove', { schema: { body: changeBody } }, ({ body }) =>
      lab.remove(body.text, body.file ?? 'request'),
    )
  }

  function podStatus(pod: LabPod) {
    return {
      namespace: pod.namespace,
      name: pod.name,
      node: pod.node,
      ip: pod.ip,
      ip6: pod.ip6,
      ports: pod.ports.map(({ port, protocol }) =>
        protocol === 'TCP' ? String(port) : `${port}/${protocol.toLowerCase()}`,
      ),
      calls: lab.callers.records(podKey(pod)).map(({ url, error }) => (error === null ? url : `${url} (${error})`)),
      ready: true,
    }
  }
}

const probeBody = {
  type: 'object',
  required: ['source', 'destination'],
  additionalProperties: false,
  properties: {
    source: { type: 'string' },
    destination: { type: 'string' },
    protocol: { type: 'string' },
    waitFlowMs: { type: 'number', minimum: 0 },
  },
} as const

const changeBody = {
  type: 'object',
  required: ['text'],
  additionalProperties: false,
  properties: { text: { type: 'string' }, file: { type: 'string' } },
} as const
