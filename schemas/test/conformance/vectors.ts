import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { Conformance } from '../../src/conformance/answer.ts'
import { listOf, probeOf, resourceOf } from './short-forms.ts'

type Given = Record<string, unknown>

/** One vector: what is asked, and what the answer must hold. */
export interface Vector {
  /** `<section>-<what it is about>` */
  readonly id: string
  readonly section: string
  readonly file: string
  readonly ask: Conformance
  readonly request: Given
  readonly expected: Given
}

const folder = new URL('vectors/', import.meta.url)
const worlds = parse(readFileSync(new URL('worlds.yaml', import.meta.url), 'utf8')) as Record<string, readonly Given[]>

/** A chapter of vectors: rows by what is asked, and what all rows of a group are given. */
interface Chapter {
  readonly groups: readonly Group[]
}

interface Group {
  readonly ask: Conformance
  readonly about: string
  /** Resources of every row (policy): a list, or the name of one in `worlds.yaml`. */
  readonly given?: readonly Given[] | string
  /** Members of every row. */
  readonly all?: Given
  readonly rows: readonly Given[]
}

function readVectors(): Vector[] {
  return readdirSync(folder)
    .sort()
    .flatMap((file) => {
      const { groups } = parse(readFileSync(new URL(file, folder), 'utf8'), {
        merge: true,
        maxAliasCount: -1,
      }) as Chapter
      return groups.flatMap((group) => group.rows.map((row) => vectorOf(file, group, { ...group.all, ...row })))
    })
}

/** `{times: 3, of: a}` is a list of three; `{times: 3, of: a, joined: true}` one text of them. `#` in a text is the place, from 1. */
function expand(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expand)
  if (typeof value !== 'object' || value === null) return value
  const { times, of, joined } = value as { times?: unknown; of?: unknown; joined?: unknown }
  if (typeof times === 'number') {
    const list = Array.from({ length: times }, (_, index) =>
      typeof of === 'string' ? of.replace('#', String(index + 1)) : expand(of),
    )
    return joined === true ? list.join('') : list
  }
  return Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, expand(inner)]))
}

function vectorOf(file: string, group: Group, given: Given): Vector {
  const { id, ...row } = expand(given) as Given
  const name = String(id)
  const section = /^[\d.]*\d/.exec(name)?.[0] ?? ''
  return { id: name, section, file, ask: group.ask, ...readers[group.ask](row, group) }
}

type Reader = (row: Given, group: Group) => Pick<Vector, 'request' | 'expected'>

const refused = (error: unknown): Given => ({ valid: false, ...(error !== true && { error }) })

const readers: Readonly<Record<Conformance, Reader>> = {
  selector({ selector, labels = {}, error, ...expected }) {
    return {
      request: { selector, labels },
      expected: error === undefined ? { valid: true, error: null, ...expected } : { ...refused(error), ...expected },
    }
  },
  resource({ resource, error, warning, defaulted }) {
    return {
      request: { resource: resourceOf(resource as Given) },
      expected: {
        valid: error === undefined,
        ...(error !== undefined && { errors: error }),
        ...(warning !== undefined && { warnings: warning }),
        ...(defaulted !== undefined && { defaulted }),
      },
    }
  },
  policy(row, group) {
    const { probe, more, is, src, dst, pending, psrc, pdst, srcIs, dstIs, exempt, error, backends } = row
    const given = typeof group.given === 'string' ? worlds[group.given] : group.given
    const resources = [...(given ?? []), ...listOf(row.with).flat(), ...policiesOf(row)].map((one) =>
      resourceOf(one as Given),
    )
    const end = (trace: unknown, verdict: unknown) =>
      trace === undefined && verdict === undefined
        ? undefined
        : { ...(trace !== undefined && { trace: listOf(trace) }), ...(verdict !== undefined && { verdict }) }
    const both = (egress: object | undefined, ingress: object | undefined) => ({
      ...(egress && { egress }),
      ...(ingress && { ingress }),
    })
    const staged = {
      ...(pending !== undefined && { verdict: pending }),
      ...both(end(psrc, undefined), end(pdst, undefined)),
    }
    return {
      request: { resources, probe: probeOf(String(probe), more as Given) },
      expected:
        error === undefined
          ? {
              verdict: is,
              ...both(end(src, srcIs), end(dst, dstIs)),
              ...(exempt !== undefined && { ingress: { exempt } }),
              ...(Object.keys(staged).length > 0 && { pending: staged }),
              ...(backends !== undefined && { backends }),
            }
          : refused(error),
    }
  },
  kubernetes({ from, to, error = null }) {
    const policy = to === null ? null : resourceOf(to as Given)
    return { request: { networkPolicy: resourceOf(from as Given) }, expected: { valid: to !== null, policy, error } }
  },
  query({ dataSet = 'flows', query, substitutions, error, ...expected }) {
    return {
      request: { dataSet, query, ...(substitutions !== undefined && { substitutions }) },
      expected: error === undefined ? { valid: true, error: null, ...expected } : refused(error),
    }
  },
}

/**
 * Policies in short: `in` is the one ingress rule of a NetworkPolicy of shop that selects app == 'web', `out` the one egress rule of one
 * that selects app == 'client'; `gin` and `gout` the same in a GlobalNetworkPolicy.
 */
function policiesOf(row: Given): Given[] {
  const web = { selector: "app == 'web'", types: ['Ingress'] }
  const client = { selector: "app == 'client'", types: ['Egress'] }
  return [
    ...(row.in === undefined ? [] : [{ np: 'shop/in', ...web, ingress: listOf(row.in) }]),
    ...(row.out === undefined ? [] : [{ np: 'shop/out', ...client, egress: listOf(row.out) }]),
    ...(row.gin === undefined ? [] : [{ gnp: 'in', ...web, ingress: listOf(row.gin) }]),
    ...(row.gout === undefined ? [] : [{ gnp: 'out', ...client, egress: listOf(row.gout) }]),
  ]
}

/** How an answer differs from what is expected; null when it holds all of it. Text expected under `error` is a part of it. */
export function difference(actual: unknown, expected: unknown, at = ''): string | null {
  const path = at.split('.').at(-1)
  if (path === 'error' && typeof expected === 'string' && typeof actual === 'string' && actual.includes(expected))
    return null
  if ((path === 'errors' || path === 'warnings') && !Array.isArray(actual)) return `${at}: none given`
  if ((path === 'errors' || path === 'warnings') && Array.isArray(actual)) {
    if (expected === true) return actual.length > 0 ? null : `${at}: none given`
    const found = actual.map(({ path: where, rule }: { path: string; rule: string }) => `${rule} at ${where}`)
    const missing = listOf(expected).find((one) => !found.includes(String(one)))
    return missing === undefined ? null : `${at}: ${missing} is not among ${JSON.stringify(found)}`
  }
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (expected.length !== actual.length)
      return `${at}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`
    for (const [index, one] of expected.entries()) {
      const found = difference(actual[index], one, `${at}[${index}]`)
      if (found !== null) return found
    }
    return null
  }
  if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
    for (const [member, one] of Object.entries(expected)) {
      const found = difference((actual as Given)[member], one, at === '' ? member : `${at}.${member}`)
      if (found !== null) return found
    }
    return null
  }
  return Object.is(actual ?? null, expected)
    ? null
    : `${at}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`
}

/** All vectors, in the order of the files. */
export const vectors: readonly Vector[] = readVectors()

// Run as a program with the name of a conformance interface, it writes that interface's vectors as `margay eval` reads them.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { ask, id, request, expected } of vectors)
    if (ask === process.argv[2]) process.stdout.write(`${JSON.stringify({ id, ...request, expected })}\n`)
}
