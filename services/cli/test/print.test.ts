import { expect, test } from 'vitest'
import { joinDocuments } from '../src/input.ts'
import { eventsOf } from '../src/print/sse.ts'
import { age, table } from '../src/print/table.ts'
import { complaintOf } from '../src/up/process.ts'
import { createScreen } from '../src/up/screen.ts'

test('a table pads its columns and leaves no trailing space', () => {
  expect(
    table(
      ['NAME', 'AGE'],
      [
        ['frontend', '2m'],
        ['a', ''],
      ],
    ),
  ).toBe('NAME       AGE\nfrontend   2m\na')
})

test('an age is short, as kubectl has it', () => {
  const now = Date.parse('2030-01-02T00:00:00Z')
  expect(
    ['2030-01-01T23:59:18Z', '2030-01-01T23:00:00Z', '2030-01-01T12:00:00Z', '2029-12-01T00:00:00Z', undefined].map(
      (t) => age(t, now),
    ),
  ).toEqual(['42s', '60m', '12h', '32d', '<unknown>'])
})

test('a line of joined documents is told by its own file and line', () => {
  const joined = joinDocuments([
    { name: 'a.yaml', text: 'kind: A\nname: a' },
    { name: 'b.yaml', text: 'kind: B\n' },
  ])
  expect(joined.text).toBe('kind: A\nname: a\n---\nkind: B\n')
  expect([1, 2, 4].map(joined.locate)).toEqual(['a.yaml:1', 'a.yaml:2', 'b.yaml:1'])
})

test('server-sent events are read across chunk borders, comments left out', async () => {
  async function* chunks() {
    for (const text of [': hello\n\nda', 'ta: {"a":1}\n', '\nevent: dropped\ndata: 3\n\n'])
      yield new TextEncoder().encode(text)
  }
  const seen = []
  for await (const event of eventsOf(chunks())) seen.push(event)
  expect(seen).toEqual([
    { name: 'message', data: '{"a":1}' },
    { name: 'dropped', data: '3' },
  ])
})

test('only warnings and worse of a service reach the terminal', () => {
  expect(complaintOf('{"level":30,"msg":"started"}', false)).toBeNull()
  expect(complaintOf('{"level":40,"msg":"log unavailable","reason":"no broker"}', false)).toBe(
    'log unavailable: no broker',
  )
  expect(complaintOf('plain text on stderr', true)).toBe('plain text on stderr')
  expect(complaintOf('plain text on stdout', false)).toBeNull()
})

test('a service that complains all the time is heard three times a minute', () => {
  const lines: string[] = []
  let now = 0
  const screen = createScreen(
    (line) => lines.push(line),
    () => now,
  )
  for (let i = 0; i < 10; i += 1) screen.warn('store', 'slow')
  expect(lines).toHaveLength(3)
  now = 61_000
  screen.warn('store', 'slow')
  expect(lines).toHaveLength(4)
})
