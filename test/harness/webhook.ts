import { type FastifyInstance, fastify } from 'fastify'

/** A message that the double was sent. */
export interface WebhookCall {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readonly<Record<string, unknown>>
}

/** What the double does to one of the next calls; `status` with headers, or no answer at all. */
export type WebhookFault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset' }

/** A program that is told of alerts by HTTP. */
export interface WebhookHarness {
  readonly url: string
  /** Every call, refused ones too, oldest first. */
  readonly calls: readonly WebhookCall[]
  /** Faults still to come, oldest first; each strikes once, then all is well. */
  readonly faults: WebhookFault[]
  stop(): Promise<void>
}

/** Starts the double on a loopback port; `react` is what the program does about a message before it answers. */
export async function startWebhook(
  react: (body: WebhookCall['body']) => Promise<void> = async () => {},
): Promise<WebhookHarness> {
  const calls: WebhookCall[] = []
  const faults: WebhookFault[] = []
  const server: FastifyInstance = fastify({ logger: false, forceCloseConnections: true })
  server.post('/hook', async (request, reply) => {
    const body = request.body as WebhookCall['body']
    calls.push({ headers: request.headers, body })
    const fault = faults.shift()
    if (fault?.kind === 'status')
      return reply
        .code(fault.status)
        .headers(fault.headers ?? {})
        .send('scripted')
    if (fault !== undefined) {
      reply.hijack()
      if (fault.kind === 'reset') request.raw.socket.destroy()
      return
    }
    await react(body)
    return reply.code(204).send()
  })
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  return { url: `${address}/hook`, calls, faults, stop: () => server.close() }
}
