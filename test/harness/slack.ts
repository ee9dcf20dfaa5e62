import { type FastifyInstance, fastify } from 'fastify'

/** What the double does to one of the next posts. */
export type SlackFault =
  /** 429 with, or without, a Retry-After in seconds. */
  | { readonly kind: 'rate'; readonly retryAfter?: number }
  | { readonly kind: 'status'; readonly status: number }
  /** 200 with `{ ok: false, error }`. */
  | { readonly kind: 'refusal'; readonly error: string }
  /** Never answers; `taken` when the message was posted all the same. */
  | { readonly kind: 'hang'; readonly taken: boolean }
  /** Cuts the connection; `taken` when the message was posted all the same. */
  | { readonly kind: 'reset'; readonly taken: boolean }

/** A message that the server took. */
export interface SlackMessage {
  readonly channel: string
  readonly ts: string
  readonly text: string
  readonly blocks: readonly Block[]
  readonly metadata: unknown
}

interface Block {
  readonly type: string
  readonly text?: { readonly type: string; readonly text: string }
  readonly fields?: readonly { readonly type: string; readonly text: string }[]
  readonly elements?: readonly unknown[]
}

/** A stand-in for Slack's Web API: form-encoded calls, bearer token, Block Kit limits, scripted faults. */
export interface SlackHarness {
  /** To give to a client as its API address; ends in a slash. */
  readonly url: string
  /** Messages posted, oldest first. */
  readonly messages: readonly SlackMessage[]
  /** When each call of chat.postMessage arrived, unix milliseconds. */
  readonly calls: readonly number[]
  /** Faults still to come, oldest first; each strikes once, then all is well. */
  readonly faults: SlackFault[]
  stop(): Promise<void>
}

/** Starts the double on a loopback port; it knows one token and any channel whose name does not begin with `no-`. */
export async function startSlack(token: string): Promise<SlackHarness> {
  const messages: SlackMessage[] = []
  const calls: number[] = []
  const faults: SlackFault[] = []
  const server = fastify({ logger: false, forceCloseConnections: true })
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(body as string))),
  )
  addMethods(server, token, messages, calls, faults)
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  return { url: `${address}/api/`, messages, calls, faults, stop: () => server.close() }
}

function addMethods(
  server: FastifyInstance,
  token: string,
  messages: SlackMessage[],
  calls: number[],
  faults: SlackFault[],
): void {
  const isKnown = (authorization: string | undefined) => authorization === `Bearer ${token}`
  server.post('/api/chat.postMessage', async (request, reply) => {
    calls.push(Date.now())
    if (!isKnown(request.headers.authorization)) return { ok: false, error: 'invalid_auth' }
    const form = request.body as Record<string, string>
    const problems = problemsOf(form)
    const fault = faults.shift()
    if (fault?.kind === 'rate') {
      if (fault.retryAfter !== undefined) reply.header('retry-after', fault.retryAfter)
      return reply.code(429).send({ ok: false, error: 'ratelimited' })
    }
    if (fault?.kind === 'status') return reply.code(fault.status).send('scripted')
    if (fault?.kind === 'refusal') return { ok: false, error: fault.error }
    if (form.channel === undefined || form.channel.startsWith('no-')) return { ok: false, error: 'channel_not_found' }
    if (problems.length > 0) return { ok: false, error: 'invalid_blocks', response_metadata: { messages: problems } }
    const message: SlackMessage = {
      channel: form.channel,
      ts: `${Math.floor(Date.now() / 1000)}.${String(messages.length).padStart(6, '0')}`,
      text: form.text ?? '',
      blocks: JSON.parse(form.blocks ?? '[]') as Block[],
      metadata: JSON.parse(form.metadata ?? 'null'),
    }
    if (fault === undefined || fault.taken) messages.push(message)
    if (fault?.kind === 'reset') {
      reply.hijack()
      request.raw.socket.destroy()
      return
    }
    if (fault?.kind === 'hang') {
      reply.hijack()
      return
    }
    return { ok: true, channel: message.channel, ts: message.ts, message }
  })
  server.post('/api/conversations.history', async (request) => {
    if (!isKnown(request.headers.authorization)) return { ok: false, error: 'invalid_auth' }
    const { channel, oldest = '0' } = request.body as Record<string, string>
    const found = messages.filter((message) => message.channel === channel && Number(message.ts) >= Number(oldest))
    return { ok: true, messages: found.reverse(), has_more: false }
  })
  server.post('/api/auth.test', async (request) =>
    isKnown(request.headers.authorization)
      ? { ok: true, team: 'test', user: 'margay' }
      : { ok: false, error: 'invalid_auth' },
  )
}

/** What Slack would refuse a post for; limits of docs.slack.dev/reference/block-kit/blocks. */
function problemsOf(form: Record<string, string>): string[] {
  const problems: string[] = []
  const check = (isFine: boolean, problem: string) => {
    if (!isFine) problems.push(`[ERROR] ${problem}`)
  }
  let blocks: Block[] = []
  try {
    blocks = JSON.parse(form.blocks ?? '[]') as Block[]
  } catch {
    return ['[ERROR] blocks are not JSON [json-pointer:/blocks]']
  }
  check((form.text ?? '') !== '' || blocks.length > 0, 'no text [json-pointer:/text]')
  check((form.text ?? '').length <= 40_000, 'text is longer than 40000 [json-pointer:/text]')
  check(blocks.length <= 50, 'more than 50 items [json-pointer:/blocks]')
  check((form.blocks ?? '').length <= 13_200, 'blocks are too long together [json-pointer:/blocks]')
  blocks.forEach((block, index) => {
    const at = `/blocks/${index}`
    const limit = block.type === 'header' ? 150 : 3000
    const text = block.text?.text
    check(text === undefined || (text.length > 0 && text.length <= limit), `text length [json-pointer:${at}/text]`)
    check(block.type !== 'header' || block.text?.type === 'plain_text', `header text type [json-pointer:${at}/text]`)
    check((block.fields?.length ?? 0) <= 10, `more than 10 items [json-pointer:${at}/fields]`)
    for (const field of block.fields ?? []) check(field.text.length <= 2000, `field length [json-pointer:${at}/fields]`)
    check(block.type !== 'context' || (block.elements?.length ?? 0) <= 10, `elements [json-pointer:${at}/elements]`)
  })
  return problems
}
