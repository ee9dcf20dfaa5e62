import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EventLog } from '../../src/event-log.ts'
import { createEmbeddedLog, type EmbeddedLogConfig } from '../../src/log/embedded/adapter.ts'
import { createReporter } from '../../src/reporter.ts'
import { collect, makeTopic, series, text, until } from './probe.ts'

interface Member {
  readonly lines: string[]
  readonly process: ChildProcess
  /** What followed `word` on the lines that began with it. */
  said(word: string): string[]
  kill(): Promise<void>
}

const program = new URL('./member-process.ts', import.meta.url).pathname

describe('embedded event log', () => {
  let dir: string
  let log: EventLog
  const members: Member[] = []
  const opened: EventLog[] = []

  async function open(more: Partial<EmbeddedLogConfig> = {}, now?: () => number): Promise<EventLog> {
    const reporter = createReporter('test', { level: 'silent' })
    const client = createEmbeddedLog({ dir, topics: [], ...more }, now === undefined ? { reporter } : { reporter, now })
    opened.push(client)
    await client.start?.()
    return client
  }

  /** Starts a process that shares the folder; `limit` is the largest file that it may write, in blocks of the shell. */
  function member(role: string, name: string, limit?: number): Member {
    const command = [process.execPath, '--conditions=source', '--import', 'tsx', program, dir, role, name]
    const [file, ...args] =
      limit === undefined ? command : ['sh', '-c', `ulimit -f ${limit}; exec "$0" "$@"`, ...command]
    const child = spawn(file as string, args, {
      stdio: ['ignore', 'pipe', limit === undefined ? 'inherit' : 'ignore'], // lmdb writes failed commits to its errors
    })
    let rest = ''
    const lines: string[] = []
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() as string
      lines.push(...parts)
    })
    const closed = once(child, 'close') // after the last output has been read
    const it: Member = {
      lines,
      process: child,
      said: (word) => lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1)),
      async kill() {
        child.kill('SIGKILL')
        await closed
      },
    }
    members.push(it)
    return it
  }

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'margay-log-'))
    log = await open()
  })
  afterEach(async () => {
    await Promise.all(members.splice(0).map((one) => one.kill()))
    for (const client of opened.splice(0)) await client.stop?.()
    rmSync(dir, { recursive: true, force: true })
  })

  it('loses no acknowledged record and stays usable when processes are killed at any moment', async () => {
    await makeTopic(log, 'left')
    await makeTopic(log, 'right')
    const acknowledged: string[] = []
    const handled = new Set<string>()
    const reading = member('consume', 'reader')
    await until(() => reading.lines.includes('ready'))
    let kills = 0
    for (let round = 0; round < 7; round += 1) {
      const killed = [0, 1, 2].map((n) => member('write', `w${round}.${n}`))
      await until(() => killed.every((one) => one.said('acknowledged').length > 0))
      for (const one of killed) {
        await setTimeout(Math.random() * 25)
        await one.kill()
        kills += 1
      }
      acknowledged.push(...killed.flatMap((one) => one.said('acknowledged')))
      const started = performance.now()
      await log.append(['left', 'right'].map((topic) => text(topic, `survivor-${round}`)))
      acknowledged.push(`survivor-${round}`)
      expect(performance.now() - started).toBeLessThan(2000)
    }
    expect(kills).toBe(21)
    const valuesOf = async (topic: string) =>
      (await log.read({ topic, partition: 0, offset: 0 }, 1e6)).map(({ value }) => value?.toString() ?? '')
    const left = await valuesOf('left')
    const right = await valuesOf('right')
    expect(right).toEqual(left) // written together, so in the same order
    const kept = new Set(left)
    expect(kept.size).toBe(left.length)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(acknowledged.filter((value) => !kept.has(value))).toEqual([])

    // The consumer is killed too: what it had not committed comes to the next member.
    await reading.kill()
    for (const value of reading.said('handled')) handled.add(value)
    const seen = collect()
    const killedAt = performance.now()
    await log.append([text('left', 'last')])
    await log.consume({ group: 'shared', topics: ['left'], from: 'earliest', handle: seen.handle })
    await until(() => seen.values.at(-1) === 'last')
    expect(performance.now() - killedAt).toBeLessThan(6000)
    for (const value of seen.values) handled.add(value)
    expect(left.filter((value) => !handled.has(value))).toEqual([])
  })

  it('tells other processes of a record within 20 ms, and costs next to nothing when idle', async () => {
    await makeTopic(log, 'left')
    await makeTopic(log, 'right')
    const listener = member('tail', 'listener')
    const idle = member('idle', 'idler')
    await until(() => listener.lines.includes('ready') && idle.lines.includes('ready'))
    await setTimeout(1500)
    idle.lines.length = 0
    await until(() => idle.said('used').length === 3)
    const used = idle
      .said('used')
      .map(Number)
      .sort((a, b) => a - b)
    expect(used[1]).toBeLessThan(10) // of 1000 ms; half a percent is typical of a quiet machine, a busy loop is 1000
    const delays: number[] = []
    for (const value of series('n', 60)) {
      await log.append([text('left', value)])
      const durable = Date.now()
      await until(() => listener.said('heard').some((line) => line.startsWith(`${value} `)))
      const line = listener.said('heard').find((said) => said.startsWith(`${value} `)) as string
      delays.push(Number(line.split(' ')[1]) - durable)
    }
    delays.sort((a, b) => a - b)
    expect(delays[30]).toBeLessThanOrEqual(20)
    expect(delays[54]).toBeLessThanOrEqual(100) // the poll alone would take 250 on average
  })

  /** Stops a process between two of its writes: one stopped inside a write keeps every other writer waiting. */
  async function freeze(process: ChildProcess): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      process.kill('SIGSTOP')
      const append = log.append([text('right', 'anything')])
      if (await Promise.race([append.then(() => true), setTimeout(1000, false)])) return
      process.kill('SIGCONT')
      await append
    }
    throw new Error('the process was inside a write whenever it was stopped')
  }

  it('moves the partitions of a member that stopped answering', async () => {
    await makeTopic(log, 'left', { partitions: 2 })
    await makeTopic(log, 'right')
    const frozen = member('consume', 'frozen')
    await until(() => frozen.lines.includes('ready'))
    await freeze(frozen.process)
    const seen = collect()
    await log.consume({ group: 'shared', topics: ['left'], from: 'earliest', handle: seen.handle })
    await log.append([text('left', 'a', { partition: 0 }), text('left', 'b', { partition: 1 })])
    await until(() => seen.records.length === 2, 6000)
    frozen.process.kill('SIGCONT')
    await setTimeout(300)
    await log.append(series('c', 10).map((value, index) => text('left', value, { partition: index % 2 })))
    await until(() => new Set([...seen.values, ...frozen.said('handled')]).size === 12)
  })

  it('takes old records away, and tombstones after a while', async () => {
    let time = Date.now()
    const aged = await open({ maintenanceMs: 40, tombstoneMs: 60_000 }, () => time)
    await makeTopic(aged, 'events', { retentionMs: 3_600_000 })
    await makeTopic(aged, 'state', { compacted: true })
    await aged.append([
      ...series('old', 600).map((value) => text('events', value)),
      text('state', 'kept', { key: 'kept' }),
      text('state', 'gone', { key: 'gone' }),
    ])
    await aged.append([{ topic: 'state', key: 'gone', value: null }])
    time += 1_800_000
    await aged.append([text('events', 'young')])
    time += 1_800_001
    const count = async (topic: string) => (await aged.read({ topic, partition: 0, offset: 0 }, 1000)).length
    let left = [0, 0]
    await until(() => {
      void Promise.all([count('events'), count('state')]).then((counts) => {
        left = counts
      })
      return left[0] === 1 && left[1] === 1
    })
    expect(await aged.offsets('events')).toEqual([{ partition: 0, earliest: 600, next: 601 }])
    const seen = collect()
    await aged.consume({ group: 'late', topics: ['events', 'state'], from: 'earliest', handle: seen.handle })
    await until(() => seen.records.length === 2)
    expect([...seen.values].sort()).toEqual(['kept', 'young'])
    await aged.append([text('state', 'again', { key: 'gone' })])
    await until(() => seen.values.at(-1) === 'again')
  })

  it('uses the space of removed records again', async () => {
    let time = Date.now()
    const aged = await open({ maintenanceMs: 40 }, () => time)
    await makeTopic(aged, 'events', { retentionMs: 1000 })
    const size = () => readFileSync(join(dir, 'data.mdb')).length
    const fill = async () => {
      for (const value of series('v', 20)) await aged.append([text('events', value.padEnd(200_000, '.'))])
      time += 2000
      let left = 1
      await until(() => {
        void aged.read({ topic: 'events', partition: 0, offset: 0 }, 1).then(({ length }) => {
          left = length
        })
        return left === 0
      })
    }
    await fill()
    await fill()
    const before = size()
    for (let round = 0; round < 4; round += 1) await fill()
    expect(size()).toBeLessThan(before * 1.5)
  })

  it('refuses appends when the disk is full, and goes on when there is room', async () => {
    await makeTopic(log, 'left')
    const full = member('fill', 'full', 8000)
    await until(() => full.lines.includes('alive'))
    expect(full.said('refused')).toEqual(Array.from({ length: 3 }, () => 'LOG_UNAVAILABLE degraded'))
    const before = (await log.offsets('left'))[0]?.next
    expect(before).toBeGreaterThan(5)
    expect(await log.append([text('left', 'room')])).toEqual([{ topic: 'left', partition: 0, offset: before }])
  })

  it('says so when the folder holds something else', async () => {
    const other = mkdtempSync(join(tmpdir(), 'margay-log-'))
    writeFileSync(join(other, 'data.mdb'), Buffer.alloc(100_000, 7))
    const reporter = createReporter('test', { level: 'silent' })
    const broken = createEmbeddedLog({ dir: other, topics: [] }, { reporter })
    await expect(broken.start?.()).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
    expect(broken.health?.().state).toBe('down')
    const nowhere = createEmbeddedLog(
      { dir: join(other, 'data.mdb', 'log'), topics: [] },
      { reporter: createReporter('test', { level: 'silent' }) },
    )
    await expect(nowhere.start?.()).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
    await expect(nowhere.append([])).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
    rmSync(other, { recursive: true })
  })
})
