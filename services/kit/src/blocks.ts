import type { EventDefinition } from '@margay/schemas'
import { topicOf } from '@margay/schemas'
import type { LogRecord, StoredRecord } from './event-log.ts'

/** What a block says of itself in its headers. */
export interface BlockOrigin {
  readonly cluster: string
  /** Who wrote it: service and node. */
  readonly producer: string
}

/** Largest value of one block; a larger batch becomes several. Below Kafka's default message limit. */
const maxBlockBytes = 512 * 1024

/** Content type of a block whose value is one JSON event a line. */
export const ndjson = 'application/x-ndjson'

/**
 * Packs events of one kind into blocks for the event log: one record carries many events, one JSON line each,
 * with headers that tell content type, schema version, count and time range.
 */
export function encodeBlocks<E extends object>(
  definition: EventDefinition,
  events: readonly E[],
  origin: BlockOrigin,
): LogRecord[] {
  const blocks: LogRecord[] = []
  let lines: string[] = []
  let size = 0
  let from = Number.POSITIVE_INFINITY
  let to = 0
  const close = () => {
    if (lines.length === 0) return
    blocks.push({
      topic: topicOf(definition),
      key: origin.producer,
      value: Buffer.from(lines.join('\n')),
      headers: {
        'content-type': ndjson,
        schema: `${definition.kind}/${definition.version}`,
        count: String(lines.length),
        'min-time': String(from),
        'max-time': String(to),
        cluster: origin.cluster,
        producer: origin.producer,
      },
    })
    lines = []
    size = 0
    from = Number.POSITIVE_INFINITY
    to = 0
  }
  for (const event of events) {
    const line = JSON.stringify(event)
    const bytes = Buffer.byteLength(line) + 1
    if (size > 0 && size + bytes > maxBlockBytes) close()
    const time = Number((event as Record<string, unknown>)[definition.timeColumn])
    if (time < from) from = time
    if (time > to) to = time
    lines.push(line)
    size += bytes
  }
  close()
  return blocks
}

/** The lines of a block; each is the text of one event, not yet parsed. */
export function linesOf(record: Pick<StoredRecord, 'value'>): string[] {
  if (record.value === null || record.value.length === 0) return []
  return record.value.toString().split('\n')
}
