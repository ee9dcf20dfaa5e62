import { parentPort, receiveMessageOnPort } from 'node:worker_threads'

/** What the main thread asks of a thread that never returns to its event loop, taken one after the other until there is no more. */
export function* requests<T>(): Generator<T> {
  for (;;) {
    const asked = parentPort === null ? undefined : receiveMessageOnPort(parentPort)
    if (asked === undefined) return
    yield asked.message as T
  }
}
