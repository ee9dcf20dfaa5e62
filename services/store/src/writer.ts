import { setTimeout } from 'node:timers/promises'
import type { ClickHouse } from '@margay/kit/clickhouse'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { EventDefinition } from '@margay/schemas'
import type { Row } from './decode.ts'
import { tokenOf, type Unit } from './unit.ts'

/** A row that ClickHouse refuses, with what it says, without the values. */
export interface Refusal {
  readonly row: Row
  readonly detail: string
}

/** Writes batches to ClickHouse, each once. */
export interface Writer {
  /**
   * Inserts the rows of a unit and resolves with those that ClickHouse refuses; all others are stored then. Rejects with
   * CLICKHOUSE_UNAVAILABLE, or CLICKHOUSE_REFUSED when the fault is not in the rows, after having tried for a while; the same
   * unit can be inserted again.
   */
  write(definition: EventDefinition, unit: Unit, rows: readonly Row[], signals: WriteSignals): Promise<Refusal[]>
}

/** What ends a write. */
export interface WriteSignals {
  /** Ends trying; an insert under way is waited for. */
  readonly end: AbortSignal
  /** Ends an insert under way too. */
  readonly cut: AbortSignal
}

/** Milliseconds between attempts: doubling, with an upper bound. */
const firstPauseMs = 100
const longestPauseMs = 5000

/** Inserts units. `patienceMs` bounds how long one call tries. */
export function createWriter(
  config: { readonly patienceMs: number },
  deps: { readonly clickhouse: ClickHouse; readonly reporter: Reporter; readonly now?: () => number },
): Writer {
  const { clickhouse, reporter, now = Date.now } = deps
  const seconds = reporter.histogram('insert_seconds', 'time of an insert', [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60])
  const inserted = reporter.counter('rows_inserted_total', 'rows stored by table', ['table'] as const)
  const sizes = reporter.histogram('insert_rows', 'rows of an insert', [1, 10, 100, 1000, 10_000, 100_000])
  const retries = reporter.counter('insert_retries_total', 'inserts tried again by code', ['code'] as const)

  /** One insert, tried until it succeeds, is refused for its rows, or patience ends. */
  async function insert(table: string, rows: readonly Row[], token: string, until: number, signals: WriteSignals) {
    const body = Buffer.from(rows.map((row) => row.text).join('\n'))
    for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) {
      signals.end.throwIfAborted()
      const time = seconds.startTimer()
      try {
        await clickhouse.insert({ table, format: 'JSONEachRow', body, token, settings, signal: signals.cut })
        inserted.inc({ table }, rows.length)
        sizes.observe(rows.length)
        return
      } catch (error) {
        if (isOfTheRows(error) || now() + pause > until) throw error
        retries.inc({ code: error instanceof MargayError ? error.code : 'other' })
        await setTimeout(pause, undefined, { signal: signals.end })
      } finally {
        time()
      }
    }
  }

  return {
    async write(definition, unit, rows, signals) {
      const until = now() + config.patienceMs
      const refusals: Refusal[] = []
      // Halves what is refused until single rows are left. A part is named by its ends, so that it too is stored once.
      async function store(part: readonly Row[], token: string): Promise<void> {
        if (part.length === 0) return
        try {
          await insert(definition.table, part, token, until, signals)
        } catch (error) {
          if (!isOfTheRows(error)) throw error
          if (part.length === 1) {
            refusals.push({ row: part[0] as Row, detail: detailOf(error) })
            return
          }
          const middle = part.length >> 1
          for (const half of [part.slice(0, middle), part.slice(middle)])
            await store(half, `${tokenOf(unit)}#${placeOf(half[0])}-${placeOf(half.at(-1))}`)
        }
      }
      await store(rows, tokenOf(unit))
      return refusals
    },
  }
}

/** Unknown members are those of a newer producer; a day of a batch is a partition, and no number of them is too many. */
const settings = { input_format_skip_unknown_fields: 1, max_partitions_per_insert_block: '0' } as const

const isOfTheRows = (error: unknown): boolean =>
  error instanceof MargayError && error.code === 'CLICKHOUSE_REFUSED' && error.details.data === true

const placeOf = (row: Row | undefined) => `${row?.offset}.${row?.index}`

/** Name and number of ClickHouse's exception: its text repeats the values. */
function detailOf(error: unknown): string {
  if (!(error instanceof MargayError)) return messageOf(error)
  return `ClickHouse: ${error.details.clickhouseName} (code ${error.details.clickhouseCode})`
}
