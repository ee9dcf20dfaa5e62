import { writeSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { MargayError } from '@margay/kit/errors'
import { startWorker } from '../netlink/kernel-thread.ts'
import { wakeUp } from '../netlink/wake.ts'
import type { DnsThreadOptions, DnsThreadReport, DnsThreadRequest } from './thread-protocol.ts'

/** The thread that holds DNS answers, as the main thread sees it. */
export interface DnsThread {
  start(): Promise<void>
  stop(): Promise<void>
  tell(request: Extract<DnsThreadRequest, { type: 'restore' | 'clear' }>): void
  /** Asks for the answer that carries the request's id; parts of it before the last go to `report`. Rejects when the thread has ended. */
  ask<Answer extends DnsThreadReport['type']>(
    request: DistributiveOmit<Extract<DnsThreadRequest, { id: number }>, 'id'>,
    answer: Answer,
  ): Promise<Extract<DnsThreadReport, { type: Answer }>>
  /** Times that the thread changed the kernel's tables; not `isOver` while it is doing so. */
  transactions(): { readonly count: number; readonly isOver: boolean }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** Makes the thread. Everything it reports but answers goes to `report`; `died` is called if it ends without being told to. */
export function createDnsThread(
  options: Omit<DnsThreadOptions, 'transactions'>,
  deps: { readonly report: (report: DnsThreadReport) => void; readonly died: (error: Error) => void },
): DnsThread {
  const cells = new Int32Array(new SharedArrayBuffer(8))
  let worker: Worker | undefined
  let wakeFd: number | null = null
  let stopping = false
  let nextId = 1
  const waiting = new Map<number, { resolve: (report: never) => void; reject: (error: Error) => void }>()

  function ended(error: Error): void {
    worker = undefined
    wakeFd = null
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }

  function post(request: DnsThreadRequest): void {
    worker?.postMessage(request)
    if (wakeFd !== null) writeSync(wakeFd, wakeUp)
  }

  function take(message: DnsThreadReport): void {
    const isPart = message.type === 'known' && !message.isLast
    const asked = 'id' in message && !isPart ? waiting.get(message.id) : undefined
    if (asked === undefined || !('id' in message)) deps.report(message)
    else {
      waiting.delete(message.id)
      asked.resolve(message as never)
    }
  }

  return {
    start: () =>
      new Promise((resolve, reject) => {
        stopping = false
        const data: DnsThreadOptions = { ...options, transactions: cells.buffer as SharedArrayBuffer }
        const thread = startWorker('nfqueue', data)
        worker = thread
        const fail = (error: Error) => {
          const wasReady = wakeFd !== null
          ended(error)
          if (!wasReady) reject(error)
          else if (!stopping) deps.died(error)
        }
        thread.on('message', (message: DnsThreadReport) => {
          if (message.type === 'failed') return fail(new MargayError(message.code, message.message))
          if (message.type !== 'ready') return take(message)
          wakeFd = message.wakeFd
          resolve()
        })
        thread.on('error', fail)
        thread.on('exit', () => {
          if (worker === thread) fail(new MargayError('AGENT_WORKER_DIED', 'the DNS thread ended; restart the agent'))
        })
      }),
    async stop() {
      const thread = worker
      if (thread === undefined) return
      stopping = true
      const gone = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
      post({ type: 'stop' })
      // From now on the descriptor may be anybody's.
      wakeFd = null
      await gone
    },
    tell: post,
    ask(request, _answer) {
      if (worker === undefined)
        return Promise.reject(new MargayError('AGENT_WORKER_DIED', 'the DNS thread is not running'))
      const id = nextId++
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        post({ ...request, id } as DnsThreadRequest)
      })
    },
    transactions: () => ({ isOver: Atomics.load(cells, 0) === 0, count: Atomics.load(cells, 1) }),
  }
}
