import { expect, test } from 'vitest'
import { filesBelow, services, textOf } from './sources.ts'

/** Source files below a folder, as paths from the root. */
const sources = (folder: string) => filesBelow(folder, /\.tsx?$/)

/** Modules that a file imports, types included. */
function imports(file: string): string[] {
  const text = textOf(file)
  const statement = /^(?:import|export)\b[^';]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm
  return [...text.matchAll(statement)].map((match) => (match[1] ?? match[2] ?? match[3]) as string)
}

test('a service never imports another service', () => {
  const crossings = services()
    .filter((service) => service !== 'kit')
    .flatMap((service) =>
      sources(`services/${service}/src`).flatMap((file) =>
        imports(file)
          .filter((module) => module.startsWith('@margay/') && !/^@margay\/(schemas|kit)(\/|$)/.test(module))
          .map((module) => `${file} imports ${module}`),
      ),
    )
  expect(crossings).toEqual([])
})

test('schemas is pure: it imports nothing of Node and nothing of the services', () => {
  const allowed = new Set(['typebox', 'typebox/compile', 'typebox/value', 'yaml', 'ipaddr.js'])
  const crossings = sources('schemas/src').flatMap((file) =>
    imports(file)
      .filter((module) => !module.startsWith('.') && !allowed.has(module))
      .map((module) => `${file} imports ${module}`),
  )
  expect(crossings).toEqual([])
})

test('third-party clients are imported in one place each', () => {
  const homes: Readonly<Record<string, RegExp>> = {
    kafkajs: /^services\/kit\/src\/log\/kafka/,
    '@clickhouse/client': /^services\/kit\/src\/clickhouse/,
    lmdb: /^services\/kit\/src\/log\/embedded/,
    'node-cron': /^services\/kit\/src\/schedule/,
    nodemailer: /^services\/alerts\/src\/receivers\/email/,
    '@slack/web-api': /^services\/alerts\/src\/receivers\/slack/,
    chdb: /^services\/engine\/src\//,
  }
  const strays = services().flatMap((service) =>
    sources(`services/${service}/src`).flatMap((file) =>
      imports(file)
        .filter((module) => homes[module] !== undefined && !homes[module].test(file))
        .map((module) => `${file} imports ${module}`),
    ),
  )
  expect(strays).toEqual([])
})

test('escape hatches of the type system do not grow', () => {
  const files = ['schemas/src', ...services().map((service) => `services/${service}/src`)].flatMap(sources)
  const text = files.map(textOf).join('\n')
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0
  expect(count(/@ts-(ignore|expect-error|nocheck)/g)).toBe(0)
  // Raise neither: find the type instead.
  expect(count(/biome-ignore/g)).toBe(0)
  expect(count(/ as unknown as /g)).toBeLessThanOrEqual(13)
})

test('a part of kit serves two services, or another part', () => {
  const users = new Map<string, Set<string>>()
  for (const service of services())
    for (const file of sources(`services/${service}/src`))
      for (const module of imports(file)) {
        const part =
          /^@margay\/kit\/(.+)$/.exec(module)?.[1] ?? (service === 'kit' && /([\w-]+)\.ts$/.exec(module)?.[1])
        if (part) users.set(part, (users.get(part) ?? new Set()).add(service === 'kit' ? file : service))
      }
  const parts = sources('services/kit/src').flatMap(
    (file) => /^services\/kit\/src\/([\w-]+)\.ts$/.exec(file)?.[1] ?? [],
  )
  const lonely = parts.filter((part) => {
    const by = [...(users.get(part) ?? [])]
    return by.length < 2 && !by.some((user) => user.startsWith('services/kit/'))
  })
  expect(parts.length).toBeGreaterThan(10)
  expect(lonely).toEqual([])
})
