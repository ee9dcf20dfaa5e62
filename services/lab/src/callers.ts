import type { Component } from '@margay/kit/component'
import type { Reporter } from '@margay/kit/reporter'
import { type Call, callUrl } from './manifests/call.ts'
import { type LabPlan, type LabPod, podKey } from './manifests/plan.ts'
import type { Contact, LabNetwork } from './network.ts'

/** How a call of a pod went so far. */
export interface CallRecord {
  readonly url: string
  readonly everyMs: number
  readonly made: number
  readonly failed: number
  /** Why the last one failed; null when it did not. */
  readonly error: string | null
}

/** Makes the calls of every pod, again and again. */
export interface Callers extends Component {
  /** The calls to make from now on; those that were there go on undisturbed. */
  update(plan: LabPlan): void
  /** Records of a pod's calls, by pod key. */
  records(pod: string): readonly CallRecord[]
}

/** As long as the client of a shop would wait; a denied call is a time-out. */
const timeoutMs = 2000
/** Calls of one edge under way at once: an edge that is denied and called often must not pile up. */
const maxUnderWay = 32

/** Repeats calls with a tenth of jitter, so that edges do not beat in step. Inert until started. */
export function createCallers(deps: {
  readonly network: Pick<LabNetwork, 'connect'>
  readonly reporter: Reporter
  readonly random: () => number
}): Callers {
  const { network, reporter, random } = deps
  const edges = new Map<string, { pod: string; record: CallRecord; stop(): void }>()
  const outcomes = reporter.counter('calls_total', 'calls that pods made', ['outcome'])
  let plan: LabPlan | undefined
  let isRunning = false

  function begin(pod: LabPod, call: Call) {
    const caller = { netns: pod.netns, namespace: pod.namespace, ip: pod.ip }
    let underWay = 0
    let timer: NodeJS.Timeout
    const edge = {
      pod: podKey(pod),
      record: { url: callUrl(call), everyMs: call.everyMs, made: 0, failed: 0, error: null } as CallRecord,
      stop: () => clearTimeout(timer),
    }
    const note = (contact: Contact) => {
      underWay -= 1
      outcomes.inc({ outcome: outcomeOf(contact) })
      const { made, failed } = edge.record
      edge.record = {
        ...edge.record,
        made: made + 1,
        failed: contact.ok ? failed : failed + 1,
        error: contact.error,
      }
    }
    const again = (afterMs: number) => {
      timer = setTimeout(() => {
        again(call.everyMs * (0.9 + 0.2 * random()))
        if (underWay >= maxUnderWay) return
        underWay += 1
        void network.connect(caller, { ...call, timeoutMs }).then(note)
      }, afterMs)
    }
    again(call.everyMs * random())
    return edge
  }

  function settle(): void {
    const wanted = new Map(
      (plan?.pods ?? []).flatMap((pod) => pod.calls.map((call) => [edgeKey(pod, call), { pod, call }] as const)),
    )
    for (const [key, edge] of edges) {
      if (wanted.has(key)) continue
      edge.stop()
      edges.delete(key)
    }
    for (const [key, { pod, call }] of wanted) if (!edges.has(key)) edges.set(key, begin(pod, call))
  }

  return {
    name: 'callers',
    update(next) {
      plan = next
      if (isRunning) settle()
    },
    records: (pod) => [...edges.values()].filter((edge) => edge.pod === pod).map(({ record }) => record),
    async start() {
      isRunning = true
      settle()
    },
    async stop() {
      isRunning = false
      for (const edge of edges.values()) edge.stop()
      edges.clear()
    },
  }
}

const edgeKey = (pod: LabPod, call: Call) => `${podKey(pod)} ${pod.netns} ${pod.ip} ${callUrl(call)} ${call.everyMs}`

function outcomeOf({ ok, error, address }: Contact): 'ok' | 'timeout' | 'refused' | 'name' | 'failed' {
  if (ok) return 'ok'
  if (address === null) return 'name'
  return error === 'timed out' ? 'timeout' : error === 'refused' ? 'refused' : 'failed'
}
