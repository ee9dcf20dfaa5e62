import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { MargayError } from '@margay/kit/errors'
import { wakeUp } from './wake.ts'
import type { WorkerOptions, WorkerReport, WorkerRequest } from './worker-protocol.ts'

/** A thread that reads kernel events, as the main thread sees it. */
export interface KernelThread {
  start(): Promise<void>
  stop(): Promise<void>
  tell(request: Extract<WorkerRequest, { type: 'tcp' }>): void
  /** Asks for an answer that carries the request's id. Rejects when the thread has ended. */
  ask<T extends 'synced' | 'dumped'>(type: 'sync' | 'dump'): Promise<Extract<WorkerReport, { type: T }>>
}

/** What a thread throws away soon is collected early, or it would fill 48 MiB first. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 }

/** Workers run from the sources in development and from the build otherwise, as this very file does. */
const fromSources = import.meta.url.endsWith('.ts')

/** Starts a worker file of this folder. Node does not hand a TypeScript loader down to workers, so those of the sources load tsx first. */
export function startWorker(name: string, workerData: unknown): Worker {
  if (!fromSources)
    return new Worker(new URL(`./${name}-worker.js`, import.meta.url), { workerData, name, resourceLimits })
  const file = JSON.stringify(new URL(`./${name}-worker.ts`, import.meta.url).href)
  const tsx = JSON.stringify(
    pathToFileURL(join(dirname(createRequire(import.meta.url).resolve('tsx/package.json')), 'dist/esm/api/index.mjs')),
  )
  const code = `import(${tsx}).then(({ register }) => { register(); return import(${file}) })`
  return new Worker(code, { eval: true, workerData, name, resourceLimits, execArgv: ['--conditions=source'] })
}

/**
 * Makes a thread that runs `<name>-worker`. Everything it reports, but for answers, goes to `report`;
 * `died` is called if it ends without being told to.
 */
export function createKernelThread(
  name: 'nflog' | 'conntrack',
  options: WorkerOptions,
  deps: { readonly report: (report: WorkerReport) => void; readonly died: (error: Error) => void },
): KernelThread {
  let worker: Worker | undefined
  let wakeFd: number | null = null
  let stopping = false
  let nextId = 1
  const waiting = new Map<number, { resolve: (report: never) => void; reject: (error: Error) => void }>()

  function ended(error: Error): void {
    worker = undefined
    // From now on the descriptor may be anybody's.
    wakeFd = null
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }

  function post(request: WorkerRequest): void {
    worker?.postMessage(request)
    if (wakeFd !== null) writeSync(wakeFd, wakeUp)
  }

  return {
    start: () =>
      new Promise((resolve, reject) => {
        stopping = false
        const thread = startWorker(name, options)
        worker = thread
        const fail = (error: Error) => {
          const wasReady = wakeFd !== null
          ended(error)
          if (!wasReady) reject(error)
          else if (!stopping) deps.died(error)
        }
        thread.on('message', (message: WorkerReport) => {
          if (message.type === 'ready') {
            wakeFd = message.wakeFd
            resolve()
          }
          if (message.type === 'failed') return fail(new MargayError(message.code, message.message))
          if (message.type === 'synced' || message.type === 'dumped') {
            waiting.get(message.id)?.resolve(message as never)
            waiting.delete(message.id)
          } else deps.report(message)
        })
        thread.on('error', fail)
        thread.on('exit', () => {
          if (worker === thread)
            fail(new MargayError('AGENT_WORKER_DIED', `the ${name} thread ended; restart the agent`))
        })
      }),
    async stop() {
      const thread = worker
      if (thread === undefined) return
      stopping = true
      const gone = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
      post({ type: 'stop' })
      wakeFd = null
      await gone
    },
    tell: post,
    ask(type) {
      if (worker === undefined)
        return Promise.reject(new MargayError('AGENT_WORKER_DIED', `the ${name} thread is not running`))
      const id = nextId++
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        post({ type, id })
      })
    },
  }
}
