/** One server-sent event. */
export interface SentEvent {
  readonly name: string
  readonly data: string
}

/** Reads server-sent events from a response body (WHATWG HTML, 9.2); comments are left out. */
export async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    const parts = rest.split(/\r?\n\r?\n/)
    rest = parts.pop() ?? ''
    for (const part of parts) {
      let name = 'message'
      const data: string[] = []
      for (const line of part.split(/\r?\n/)) {
        if (line.startsWith('event:')) name = line.slice(6).trim()
        else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
      }
      if (data.length > 0) yield { name, data: data.join('\n') }
    }
  }
}
