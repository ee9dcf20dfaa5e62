import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Component, Health } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { Batch, Consumer, EventLog, StoredRecord } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { storeGroup } from '@margay/kit/store-progress'
import { type EventDefinition, topicOf } from '@margay/schemas'
import { createBudget } from './budget.ts'
import { type DeadLetter, type Decoded, deadLetterRecord, decode } from './decode.ts'
import type { Ledger } from './ledger.ts'
import { cut, type Unit } from './unit.ts'
import type { Writer } from './writer.ts'

/** When a batch is full, and how much may wait. */
export interface IntakeConfig {
  readonly batchRows: number
  readonly batchBytes: number
  readonly batchIntervalMs: number
  readonly maxInFlightBytes: number
}

/** Where events come from and go to. */
export interface IntakeDeps {
  readonly log: EventLog
  readonly ledger: Ledger
  readonly writer: Writer
  readonly reporter: Reporter
  readonly definitions: readonly EventDefinition[]
  readonly now?: () => number
}

/** Told what has been stored, for the lag. */
export interface Progress {
  /** Unix ms of the newest record stored of each topic. */
  readonly storedAt: ReadonlyMap<string, number>
}

/** How long the end of the store waits for an insert under way; one that is cut off is sent again by the next store. */
const stopPatienceMs = 5000
/** Dead letters of one append. */
const deadLettersAtOnce = 500

/**
 * Carries events from the log to ClickHouse: cuts each batch into units, remembers where, stores each unit once, sends what
 * cannot be stored to the dead letters, and lets the group move on. While ClickHouse does not answer the events wait in the
 * log; the store holds no more than its budget and goes on by itself.
 */
export function createIntake(config: IntakeConfig, deps: IntakeDeps): Component & Progress {
  const { log, ledger, writer, reporter, now = Date.now } = deps
  const definitions = new Map(deps.definitions.map((definition) => [topicOf(definition), definition]))
  const storedAt = new Map<string, number>()
  const done = new Map<string, number>()
  const verified = new Set<string>()
  const stopping = new AbortController()
  const cutting = new AbortController()
  const warn = reporter.sampled()
  let consumer: Consumer | undefined
  let trouble: { readonly since: number; readonly message: string } | undefined
  const dead = reporter.counter('dead_letters_total', 'events that could not be stored by reason', ['reason'] as const)
  const skipped = reporter.counter('records_skipped_total', 'records that were stored before a restart')
  const again = reporter.counter('units_repeated_total', 'units inserted again after a restart or a failure')
  const inFlight = reporter.gauge('in_flight_bytes', 'bytes of log records held in memory')
  const paused = reporter.gauge('paused', '1 while the log is not read because the budget is used up')
  const maxBytes = Math.max(1, Math.min(config.batchBytes, Math.floor(config.maxInFlightBytes / 2)))
  const budget = createBudget(
    { limit: config.maxInFlightBytes, next: maxBytes },
    {
      full() {
        paused.set(1)
        consumer?.pause()
      },
      free() {
        paused.set(0)
        consumer?.resume()
      },
    },
  )

  async function handle(batch: Batch): Promise<void> {
    const { topic, partition, records } = batch
    const started = now()
    const size = records.reduce((sum, record) => sum + (record.value?.length ?? 0), 0)
    const letGo = budget.hold(size)
    inFlight.set(budget.held)
    try {
      await store(batch)
      storedAt.set(topic, records.at(-1)?.timestamp ?? started)
      trouble = undefined
    } catch (error) {
      if (stopping.signal.aborted) throw error
      trouble ??= { since: now(), message: messageOf(error) }
      trouble = { since: trouble.since, message: messageOf(error) }
      warn({ topic, partition, error: messageOf(error) }, 'events not stored yet')
      throw error
    } finally {
      letGo()
      inFlight.set(budget.held)
    }
    // A batch that is small and fresh is all there was: let more gather, since few large inserts cost far less than many
    // small ones. When the newest record is older than the interval, more is waiting already.
    const age = started - (records.at(-1)?.timestamp ?? started)
    if (size * 2 >= maxBytes || age > config.batchIntervalMs) return
    const rest = config.batchIntervalMs - (now() - started)
    if (rest > 0) await setTimeout(rest, undefined, { signal: stopping.signal }).catch(() => {})
  }

  async function store({ topic, partition, records }: Batch): Promise<void> {
    const definition = definitions.get(topic)
    if (definition === undefined) throw new MargayError('CLICKHOUSE_REFUSED', `topic ${topic} has no table`) // subscribed topics all have one
    const name = `${topic}/${partition}`
    const first = records[0]?.offset
    if (first === undefined) return
    await verify(topic, partition)
    ledger.forget(topic, partition, first)
    const after = done.get(name) ?? -1
    const fresh = after >= first ? records.filter((record) => record.offset > after) : records
    const limits = { rows: config.batchRows, bytes: config.batchBytes }
    for (const piece of cut(fresh, ledger.units(topic, partition), limits)) {
      if (piece.kind === 'skip') {
        skipped.inc()
        done.set(name, piece.last)
        continue
      }
      if (piece.known) again.inc()
      else await ledger.begin(piece.unit)
      await storeUnit(definition, piece.unit, await whole(piece.unit, piece.records))
      done.set(name, piece.unit.last)
    }
  }

  /** Forgets units that were cut from another log: one that was wiped begins its offsets anew. */
  async function verify(topic: string, partition: number): Promise<void> {
    const name = `${topic}/${partition}`
    if (verified.has(name)) return
    for (const unit of ledger.units(topic, partition)) {
      const [record] = await log.read({ topic, partition, offset: unit.first }, 1)
      if (record?.offset !== unit.first || record.timestamp !== unit.at) ledger.forget(topic, partition, unit.last + 1)
    }
    verified.add(name)
  }

  /** The records of a unit that was cut before, those beyond the batch at hand included. */
  async function whole(unit: Unit, records: readonly StoredRecord[]): Promise<readonly StoredRecord[]> {
    const all = [...records]
    while ((all.at(-1)?.offset ?? unit.last) < unit.last) {
      const offset = (all.at(-1) as StoredRecord).offset + 1
      const more = await log.read({ topic: unit.topic, partition: unit.partition, offset }, unit.last - offset + 1)
      const inside = more.filter((record) => record.offset <= unit.last)
      if (inside.length === 0) break // the rest has expired
      all.push(...inside)
    }
    return all
  }

  async function storeUnit(definition: EventDefinition, unit: Unit, records: readonly StoredRecord[]): Promise<void> {
    const time = now()
    const decoded: Decoded = { rows: [], deadLetters: [] }
    for (const [at, record] of records.entries()) {
      const { rows, deadLetters } = decode(definition, record, time)
      for (const row of rows) decoded.rows.push(row)
      for (const letter of deadLetters) decoded.deadLetters.push(letter)
      if (at % 8 === 7) await setImmediate() // one record can hold thousands of events
    }
    const refusals = await writer.write(definition, unit, decoded.rows, {
      end: stopping.signal,
      cut: cutting.signal,
    })
    for (const { row, detail } of refusals) {
      const { offset, index, line } = row
      decoded.deadLetters.push({ reason: 'refused', detail, offset, index, value: Buffer.from(line) })
    }
    await bury(unit, decoded.deadLetters)
  }

  async function bury(unit: Unit, letters: readonly DeadLetter[]): Promise<void> {
    for (let at = 0; at < letters.length; at += deadLettersAtOnce) {
      const some = letters.slice(at, at + deadLettersAtOnce)
      await log.append(some.map((letter) => deadLetterRecord(unit.topic, unit.partition, letter)))
      for (const { reason } of some) dead.inc({ reason })
    }
    const [letter] = letters
    if (letter !== undefined)
      warn({ topic: unit.topic, reason: letter.reason, detail: letter.detail, count: letters.length }, 'dead letters')
  }

  function health(): Health {
    if (consumer === undefined) return { state: 'down', reason: 'the log is not read yet' }
    if (trouble === undefined) return { state: 'ok' }
    const seconds = Math.round((now() - trouble.since) / 1000)
    return {
      state: 'degraded',
      reason: `no events stored for ${seconds} s: ${trouble.message}; they wait in the log, the store goes on by itself`,
    }
  }

  return {
    name: 'intake',
    storedAt,
    async start() {
      consumer = await log.consume({
        group: storeGroup,
        topics: [...definitions.keys()],
        from: 'earliest',
        maxBytes,
        handle,
      })
    },
    async stop() {
      stopping.abort()
      const patience = globalThis.setTimeout(() => cutting.abort(), stopPatienceMs)
      await consumer?.close()
      clearTimeout(patience)
      consumer = undefined
    },
    health,
  }
}
