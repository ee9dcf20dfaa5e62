import { expect, test } from 'vitest'
import { linesOf } from '../src/lines.ts'

async function* bytes(...chunks: (string | Buffer)[]) {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

async function read(input: AsyncIterable<Buffer>, longest = 100) {
  const seen = []
  for await (const { lines, first } of linesOf(input, longest))
    for (const [index, line] of lines.entries()) seen.push([first + index, line])
  return seen
}

test('lines are numbered from 1, across chunks, and the last needs no newline', async () => {
  expect(await read(bytes('a\nb', 'c\n\nd', 'e'))).toEqual([
    [1, 'a'],
    [2, 'bc'],
    [3, ''],
    [4, 'de'],
  ])
  expect(await read(bytes('a\n'))).toEqual([[1, 'a']])
  expect(await read(bytes())).toEqual([])
})

test('a character that a chunk border cuts in two is whole again', async () => {
  const [first, second] = [Buffer.from('é\n').subarray(0, 1), Buffer.from('é\n').subarray(1)]
  expect(await read(bytes(first, second))).toEqual([[1, 'é']])
})

test('a line that is too long is told as null and does not hide the ones after it', async () => {
  expect(await read(bytes('abcdef', 'ghij', 'kl\nmn\n', 'opqrstu\n'), 5)).toEqual([
    [1, null],
    [2, 'mn'],
    [3, null],
  ])
  expect(await read(bytes('abcdef', 'gh'), 5)).toEqual([[1, null]])
})
