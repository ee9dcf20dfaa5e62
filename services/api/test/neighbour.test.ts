import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAsk } from '../src/neighbour.ts'

let runDir: string
let server: Server

beforeAll(async () => {
  runDir = mkdtempSync(join(tmpdir(), 'margay-run-'))
  server = createServer((request, response) => {
    if (request.url === '/silent') return
    if (request.url === '/problem') {
      response.writeHead(404, { 'content-type': 'application/problem+json' })
      return response.end('{"code":"REPORT_UNKNOWN","detail":"no such report"}')
    }
    if (request.url === '/broken') {
      response.writeHead(500)
      return response.end('oh no')
    }
    let text = ''
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    request.on('end', () =>
      response.end(JSON.stringify({ method: request.method, text, user: request.headers['x-margay-user'] })),
    )
  })
  await new Promise<void>((resolve) => server.listen(join(runDir, 'lab.sock'), resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  rmSync(runDir, { recursive: true, force: true })
})

it('asks a service over its socket, as the API', async () => {
  const ask = createAsk(runDir)
  expect(await ask({ service: 'lab', path: '/x', method: 'POST', body: { a: 1 } })).toEqual({
    method: 'POST',
    text: '{"a":1}',
    user: 'system:api',
  })
})

it('passes problems on with their code, and makes a defect of the other side a 503', async () => {
  const ask = createAsk(runDir)
  await expect(ask({ service: 'lab', path: '/problem' })).rejects.toMatchObject({
    code: 'REPORT_UNKNOWN',
    status: 404,
    message: 'lab: no such report',
  })
  await expect(ask({ service: 'lab', path: '/broken' })).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    status: 503,
  })
})

it('waits for nobody for ever', async () => {
  const ask = createAsk(runDir)
  await expect(ask({ service: 'lab', path: '/silent', timeoutMs: 20 })).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
  })
  await expect(ask({ service: 'none', path: '/' })).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', status: 503 })
})
