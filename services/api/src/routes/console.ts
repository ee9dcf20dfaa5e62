import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fastifyStatic } from '@fastify/static'
import type { Server } from '../context.ts'
import { notFound } from '../problem.ts'

/**
 * The console: files of its build, and its one page for every other path that a browser asks for.
 * Built files carry a hash in their name, so they never change; the page is asked for each time.
 */
export function addConsole(server: Server, { dir }: { readonly dir: string }): void {
  const isBuilt = existsSync(join(dir, 'index.html'))
  if (isBuilt) {
    server.register(fastifyStatic, {
      root: dir,
      cacheControl: false,
      setHeaders(reply, path) {
        const isHashed = path.startsWith(join(dir, 'assets'))
        reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
  }
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] as string
    const wantsPage = request.method === 'GET' && !path.startsWith('/v1') && !path.startsWith('/assets/')
    if (!wantsPage) throw notFound(`route ${request.method} ${path}: GET /openapi.json lists them`)
    if (isBuilt) return reply.header('cache-control', 'no-cache').sendFile('index.html')
    return reply.type('text/plain; charset=utf-8').send('The console is not built: run npm run build.\n')
  })
}
