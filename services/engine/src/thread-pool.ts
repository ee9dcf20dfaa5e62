import { fork } from 'node:child_process'

/** Threads that the engine needs: one for each statement under way, some for files. */
const threads = '16'

/**
 * Runs this program again with enough threads when it was started with too few, and resolves with true once it is told
 * to end or the copy has ended. libuv reads UV_THREADPOOL_SIZE before any line of an ES module runs, so it cannot be set from
 * here. Messages, signals and the exit code are passed on; the copy ends when this process does.
 */
export async function withThreads(
  process: NodeJS.Process,
  file: string,
  argv: readonly string[] = process.argv.slice(2),
): Promise<boolean> {
  if (Number(process.env.UV_THREADPOOL_SIZE ?? 4) >= Number(threads)) return false
  const copy = fork(file, argv, {
    execArgv: process.execArgv,
    env: { ...process.env, UV_THREADPOOL_SIZE: threads },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const pass = () => void (copy.connected && copy.disconnect())
  process.on('SIGTERM', pass)
  process.on('SIGINT', pass)
  process.on('disconnect', pass)
  copy.on('message', (message) => process.send?.(message))
  const code = await new Promise<number>((resolve) =>
    copy.on('exit', (status, signal) => resolve(status ?? (signal === null ? 1 : 128))),
  )
  process.exitCode = code
  if (process.connected) process.disconnect()
  return true
}
