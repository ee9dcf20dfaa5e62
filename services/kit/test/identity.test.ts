import { sha256, stableId } from '@margay/kit/identity'
import { expect, it } from 'vitest'

it('a stable id is a UUID of version 8 that tells its parts apart', () => {
  const ids = [stableId('a', 'b'), stableId('ab'), stableId('b', 'a'), stableId('a', 'b', '')]
  expect(new Set(ids).size).toBe(4)
  expect(stableId('a', 'b')).toBe(ids[0])
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

it('the digest is that of FIPS 180-4', () => {
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})
