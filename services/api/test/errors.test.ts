import { readdirSync, readFileSync } from 'node:fs'
import { errors as kitErrors } from '@margay/kit/errors'
import { expect, it } from 'vitest'
import { errors } from '../src/errors.ts'

const source = new URL('../src/', import.meta.url)
const used = new Set(
  readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'errors.ts')
    .flatMap((path) => [
      ...readFileSync(new URL(path, source), 'utf8').matchAll(/'([A-Z]+(?:_[A-Z]+)+|INTERNAL|CONFLICT)'/g),
    ])
    .map(([, code]) => code as string)
    .filter((code) => !code.startsWith('FST_')),
)

it('the catalogue has every code that the API raises, and no other', () => {
  const known = { ...kitErrors, ...errors }
  expect([...used].filter((code) => !(code in known))).toEqual([])
  expect(Object.keys(errors).filter((code) => !used.has(code))).toEqual([])
})
