import { createWriteStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { Failure } from './failure.ts'

/** The body of a request without its content encoding. Throws a Failure for an encoding that cannot be read. */
export function plainBody(request: IncomingMessage): Readable {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return request
  const decoder = decoderOf(encoding)
  if (decoder === null) throw new Failure(48, 'NOT_IMPLEMENTED', `Content-Encoding ${encoding} is not supported`)
  return request.on('error', (error) => decoder.destroy(error)).pipe(decoder)
}

function decoderOf(encoding: string): Transform | null {
  if (encoding === 'gzip' || encoding === 'x-gzip') return zlib.createGunzip()
  if (encoding === 'br') return zlib.createBrotliDecompress()
  if (encoding === 'deflate') return zlib.createInflate()
  // Since Node 22.15.
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform }
  return encoding === 'zstd' && createZstdDecompress !== undefined ? createZstdDecompress() : null
}

/** Reads a stream to its end as text. Throws a Failure when it is longer than `limit` bytes. */
export async function readText(body: Readable, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw new Failure(307, 'TOO_MANY_BYTES', `a statement has ${limit} bytes at most`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Writes what the statement's text held of the data, then the body, to a file, and resolves with the bytes written. */
export async function spoolTo(file: string, text: string, body: Readable | null): Promise<number> {
  const out = createWriteStream(file, { mode: 0o600, highWaterMark: 1 << 20 })
  if (body === null) await pipeline(Readable.from([Buffer.from(text)]), out)
  else {
    if (text !== '') out.write(text.endsWith('\n') ? text : `${text}\n`)
    await pipeline(body, out)
  }
  return out.bytesWritten
}
