import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openDnsCache, readDnsCache } from '../../src/dns/dns-cache.ts'

const dir = mkdtempSync(join(tmpdir(), 'margay-dns-cache-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const names = [
  { name: 'a.example', addresses: [['192.0.2.1', 1000] as const, ['2001:db8::1', 2000] as const] },
  { name: 'b.example', addresses: [['192.0.2.2', 3000] as const] },
]

test('what is written part by part is read back, in the folder that it makes; nothing else is left', async () => {
  const file = join(dir, 'made', 'cache')
  const draft = await openDnsCache(file, 7)
  draft.add(names.slice(0, 1))
  draft.add(names.slice(1))
  draft.add([])
  expect(await readDnsCache(file, 7)).toEqual([])
  await draft.commit()
  expect(await readDnsCache(file, 7)).toEqual(names)
  expect(readdirSync(join(dir, 'made'))).toEqual(['cache'])
})

test('another epoch, another form and lines that make no sense count for nothing', async () => {
  const file = join(dir, 'other')
  const draft = await openDnsCache(file, 7)
  draft.add(names)
  await draft.commit()
  expect(await readDnsCache(file, 8)).toBeNull()
  writeFileSync(file, 'something else\n{"name":"a.example","addresses":[]}\n')
  expect(await readDnsCache(file, 7)).toEqual([])
  const good = JSON.stringify(names[0])
  writeFileSync(file, `{"form":"margay-dns-cache/1","epoch":7}\n{"name":1}\n${good}\n${good.slice(0, 20)}\nnull\n`)
  expect(await readDnsCache(file, 7)).toEqual([names[0]])
})
