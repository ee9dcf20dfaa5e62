import { expect, test } from 'vitest'
import { remembering } from '../../src/policy/selector/memo.ts'

test('a result is made once while it is asked for, and forgotten when many others were', () => {
  const made: string[] = []
  const length = remembering(3, (text: string) => {
    made.push(text)
    return text.length
  })
  for (const text of ['a', 'bb', 'a', 'ccc', 'a', 'd', 'a', 'e', 'f', 'a']) expect(length(text)).toBe(text.length)
  expect(made).toEqual(['a', 'bb', 'ccc', 'd', 'e', 'f'])
  for (const text of ['g', 'h', 'i', 'j', 'k', 'l']) length(text)
  expect(length('bb')).toBe(2)
  expect(made.filter((text) => text === 'bb')).toHaveLength(2)
})

test('what fails is not remembered', () => {
  const fails = remembering(2, (text: string): string => {
    throw new Error(text)
  })
  expect(() => fails('a')).toThrow('a')
  expect(() => fails('a')).toThrow('a')
})
