import { createServer, type Server } from 'node:net'
import { MargayError } from '@margay/kit/errors'

/**
 * Takes the id of a lab for this process: an abstract socket, which the kernel frees however the process ends.
 * Returns what gives it back. Rejects with LAB_ID_TAKEN.
 */
export function lockId(id: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer((socket) => socket.destroy())
    server.once('error', () =>
      reject(
        new MargayError(
          'LAB_ID_TAKEN',
          `a lab with id ${id} runs on this machine: stop it, or give this one another lab.id`,
        ),
      ),
    )
    server.listen(`\0margay-lab-${id}`, () => {
      server.unref()
      resolve(() => new Promise((done) => server.close(() => done())))
    })
  })
}
