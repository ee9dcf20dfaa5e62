import { version } from '@margay/schemas'
import { expect, test } from 'vitest'
import { filesBelow, textOf } from './sources.ts'

test('every package has the version that the product tells, and asks for its siblings in it', () => {
  const wrong = filesBelow('.', /^package\.json$/).flatMap((path) => {
    const manifest = JSON.parse(textOf(path)) as { version: string; dependencies?: Record<string, string> }
    const siblings = Object.entries(manifest.dependencies ?? {}).filter(([name]) => name.startsWith('@margay/'))
    return [['version', manifest.version], ...siblings]
      .filter(([, given]) => given !== version)
      .map(([name]) => `${path}: ${name}`)
  })
  expect(wrong).toEqual([])
})
