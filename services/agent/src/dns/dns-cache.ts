import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { KnownName } from './domain-facts.ts'

/**
 * What was learned from DNS, on disk, so that a restart keeps access: a first line that names the form and the epoch, then one JSON line for
 * each name, `{"name":"api.example.com","addresses":[["192.0.2.1",1767225600000]]}` with unix milliseconds.
 */
const form = 'margay-dns-cache/1'

/** Reads the names of a file; null when it is of another epoch, none when there is no such file. Lines that make no sense are left out. */
export async function readDnsCache(file: string, epoch: number): Promise<KnownName[] | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return []
    throw error
  }
  const [head = '', ...lines] = text.split('\n')
  const header = parse(head) as { form?: unknown; epoch?: unknown } | null
  if (header?.form !== form) return []
  if (header.epoch !== epoch) return null
  return lines.map(parse).filter(isKnownName)
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

function isKnownName(value: unknown): value is KnownName {
  const { name, addresses } = (value ?? {}) as { name?: unknown; addresses?: unknown }
  return (
    typeof name === 'string' &&
    Array.isArray(addresses) &&
    addresses.every(
      (pair) => Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'number' && pair.length === 2,
    )
  )
}

/** Writes a file part by part; the old one stays until the new one is whole. */
export async function openDnsCache(
  file: string,
  epoch: number,
): Promise<{ add(names: readonly KnownName[]): void; commit(): Promise<void> }> {
  await mkdir(dirname(file), { recursive: true })
  const draft = `${file}.${process.pid}`
  const stream = createWriteStream(draft)
  let failure: Error | null = null
  stream.on('error', (error) => {
    failure = error
  })
  stream.write(`${JSON.stringify({ form, epoch })}\n`)
  return {
    add(names) {
      if (names.length > 0) stream.write(names.map((name) => `${JSON.stringify(name)}\n`).join(''))
    },
    async commit() {
      await new Promise<void>((resolve) => stream.end(resolve))
      if (failure !== null) throw failure
      await rename(draft, file)
    },
  }
}
