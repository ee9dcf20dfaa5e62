import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import PostalMime, { type Email } from 'postal-mime'
import { SMTPServer } from 'smtp-server'

/** What the server does to one of the next messages. */
export type SmtpFault =
  /** Answers the command with this code. */
  | { readonly at: 'recipient' | 'data'; readonly code: number }
  /** Takes and keeps the whole message, then cuts the connection instead of saying so. */
  | { readonly at: 'after-data' }
  /** Takes the connection and never says a word. */
  | { readonly at: 'greeting' }

/** A mail that the server took. */
export interface SmtpMessage extends Email {
  readonly envelope: { readonly from: string; readonly to: readonly string[] }
}

/** A real SMTP server that keeps what it takes and fails as scripted. */
export interface SmtpHarness {
  readonly port: number
  /** Every message taken, parsed, oldest first. */
  readonly messages: readonly SmtpMessage[]
  /** Faults still to come, oldest first; each strikes once, then all is well. */
  readonly faults: SmtpFault[]
  stop(): Promise<void>
}

/** Starts the server on a loopback port, without TLS; with `login` it asks for user and password. */
export async function startSmtp(
  options: { readonly port?: number; readonly login?: { user: string; password: string } } = {},
): Promise<SmtpHarness> {
  const messages: SmtpMessage[] = []
  const faults: SmtpFault[] = []
  const sockets = new Map<number, Socket>()
  const { login } = options
  const takeFault = (at: SmtpFault['at']) => (faults[0]?.at === at ? faults.shift() : undefined)
  const refusal = (at: 'recipient' | 'data') => {
    const fault = takeFault(at)
    return fault !== undefined && 'code' in fault
      ? Object.assign(new Error('refused by the test'), { responseCode: fault.code })
      : null
  }
  const server = new SMTPServer({
    disabledCommands: login === undefined ? ['AUTH', 'STARTTLS'] : ['STARTTLS'],
    allowInsecureAuth: true,
    authOptional: login === undefined,
    disableReverseLookup: true,
    logger: false,
    onAuth(auth, _session, callback) {
      if (auth.username === login?.user && auth.password === login?.password) callback(null, { user: auth.username })
      else callback(Object.assign(new Error('wrong user or password'), { responseCode: 535 }))
    },
    onRcptTo: (_address, _session, callback) => callback(refusal('recipient')),
    async onData(stream, session, callback) {
      const chunks: Buffer[] = []
      for await (const chunk of stream) chunks.push(chunk as Buffer)
      const refused = refusal('data')
      if (refused !== null) return callback(refused)
      const { mailFrom, rcptTo } = session.envelope
      messages.push({
        ...(await PostalMime.parse(Buffer.concat(chunks))),
        envelope: { from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map((to) => to.address) },
      })
      if (takeFault('after-data') === undefined) callback(null)
      else sockets.get(session.remotePort)?.destroy()
    },
  })
  server.on('error', () => {}) // a cut connection is what the test asked for
  // A front door, so that the greeting can be withheld and connections cut: smtp-server has no switch for either.
  const door = createServer((socket) => {
    const port = socket.remotePort as number
    sockets.set(port, socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(port))
    if (takeFault('greeting') === undefined) server.server.emit('connection', socket)
  })
  door.listen(options.port ?? 0, '127.0.0.1')
  await once(door, 'listening')
  return {
    port: (door.address() as { port: number }).port,
    messages,
    faults,
    async stop() {
      for (const socket of sockets.values()) socket.destroy()
      door.close()
      await once(door, 'close')
    },
  }
}
