import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { references } from '../reference/write.ts'

for (const [path, generate] of Object.entries(references)) {
  test(`${path} says what the code says (npm run reference writes it)`, () => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(generate())
  })
}
