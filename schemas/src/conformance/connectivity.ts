import { isMap, isNode, LineCounter, type Node, parseDocument } from 'yaml'
import type { Verdict } from '../policy/model.ts'
import type { Resource } from '../resources/resource.ts'
import { type DecidingEnd, type Decision, decisionOf, decisionText, isDecidedBy } from './decision.ts'
import { parseProbe } from './place-text.ts'
import type { World } from './places.ts'
import { judgeProbe } from './policy.ts'
import { messageOf, VectorError } from './request.ts'

/** One connection and what should become of it. */
export interface Expectation {
  /** A place, as `parsePlace` reads it. */
  readonly from: string
  /** `<place>[:<port>][/<protocol>]` */
  readonly to: string
  /** Where `to` names none; TCP when null. */
  readonly protocol: string | null
  readonly expect: Verdict
  /** What should decide, as `isDecidedBy` reads it. */
  readonly by: string | null
  /** The end that should decide. */
  readonly at: DecidingEnd | null
  /** What should become of it with staged policies as if enforced. */
  readonly pending: Verdict | null
  /** Line of the file, from 1. */
  readonly line: number
}

/** A file of connectivity tests. */
export interface ConnectivityTests {
  /** Files and folders (text) and resources written in place; null when the file names none. */
  readonly resources: readonly (string | Resource)[] | null
  readonly expectations: readonly Expectation[]
}

/** What became of an expectation. */
export interface Outcome {
  readonly expectation: Expectation
  /** Null when the connection cannot be judged. */
  readonly verdict: Verdict | null
  /** What decided, in a few words; what is missing, when it cannot be judged. */
  readonly decided: string
  /** What is otherwise than expected; none when all is well. */
  readonly differences: readonly string[]
}

/**
 * Reads connectivity tests:
 *
 *     resources: [base.yaml, policies/, {apiVersion: …}]    what to judge by
 *     protocol: TCP                                         where a test names none
 *     tests:
 *       - {from: shop/web, to: shop/api:8080, expect: allow, by: shop/api#0, at: ingress, pending: deny}
 *       - {from: [shop/web, dev/tool], to: [www.example.com:443, 10.0.0.9:53/udp], expect: deny}
 *     matrix: |
 *       from \ to    shop/api:8080   kube-system/kube-dns:53/udp
 *       shop/web     allow           allow
 *       dev/tool     deny            .
 *
 * A cell is `allow`, `deny`, or `.` for what is not tested. Throws VectorError with the line of what cannot be read.
 */
export function parseConnectivityTests(text: string): ConnectivityTests {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [broken] = document.errors
  if (broken !== undefined) throw new VectorError(`line ${lines.linePos(broken.pos[0]).line}: ${broken.message}`)
  if (!isMap(document.contents)) throw new VectorError('line 1: a file of connectivity tests is a mapping')
  const lineOf = (path: readonly (string | number)[]): number => {
    const node = document.getIn(path, true)
    return isNode(node) && node.range ? lines.linePos((node as Node).range?.[0] ?? 0).line : 1
  }
  const given = document.toJS({ maxAliasCount: 1000 }) as Record<string, unknown>
  for (const member of Object.keys(given))
    if (!members.includes(member))
      throw new VectorError(`line ${lineOf([member])}: unknown member ${member}; known are ${members.join(', ')}`)
  const protocol = given.protocol === undefined ? null : String(given.protocol)
  const list = listOf(given.tests).flatMap((test, index) => readTest(test, lineOf(['tests', index]), protocol))
  const matrices = listOf(given.matrix).flatMap((matrix, index) => {
    const path = Array.isArray(given.matrix) ? ['matrix', index] : ['matrix']
    return readMatrix(String(matrix), lineOf(path) + 1, protocol)
  })
  if (list.length + matrices.length === 0) throw new VectorError('line 1: the file has neither tests nor a matrix')
  return {
    resources: given.resources === undefined ? null : (listOf(given.resources) as readonly (string | Resource)[]),
    expectations: [...list, ...matrices],
  }
}

const members: readonly string[] = ['description', 'resources', 'protocol', 'tests', 'matrix']
const testMembers: readonly string[] = ['from', 'to', 'port', 'protocol', 'expect', 'by', 'at', 'pending']

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

function readTest(given: unknown, line: number, usual: string | null): Expectation[] {
  const fail = (message: string): never => {
    throw new VectorError(`line ${line}: ${message}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return fail('a test is a mapping')
  const test = given as Readonly<Record<string, unknown>>
  const unknown = Object.keys(test).find((member) => !testMembers.includes(member))
  if (unknown !== undefined) fail(`unknown member ${unknown}; known are ${testMembers.join(', ')}`)
  const verdict = (member: string): Verdict =>
    test[member] === 'allow' || test[member] === 'deny' ? test[member] : fail(`${member} must be allow or deny`)
  const ends = ['egress', 'transit', 'ingress'] as const
  const at =
    test.at === undefined ? null : (ends.find((end) => end === test.at) ?? fail(`at must be ${ends.join(', ')}`))
  const places = (member: string) => {
    const list = listOf(test[member]).map(String)
    return list.length > 0 ? list : fail(`${member} is required`)
  }
  const expected = {
    expect: verdict('expect'),
    by: test.by === undefined ? null : String(test.by),
    at,
    pending: test.pending === undefined ? null : verdict('pending'),
    protocol: test.protocol === undefined ? usual : String(test.protocol),
    line,
  }
  const targets = places('to').flatMap((to) =>
    test.port === undefined ? [to] : listOf(test.port).map((port) => `${to.includes(':') ? `[${to}]` : to}:${port}`),
  )
  return places('from').flatMap((from) => targets.map((to) => ({ from, to, ...expected })))
}

/** Reads a table whose first line names destinations and whose other lines begin with a source. */
function readMatrix(text: string, firstLine: number, protocol: string | null): Expectation[] {
  const [heading, ...rows] = text
    .split('\n')
    .map((row, index) => ({
      words: row
        .trim()
        .replace(/^from \\ to\b/, 'from')
        .split(/\s+/),
      line: firstLine + index,
    }))
    .filter(({ words }) => words[0] !== '' && !words[0]?.startsWith('#'))
  const destinations = heading?.words.slice(1) ?? []
  return rows.flatMap(({ words: [from, ...cells], line }) => {
    if (cells.length !== destinations.length)
      throw new VectorError(`line ${line}: ${cells.length} cells for ${destinations.length} destinations`)
    return cells.flatMap((cell, index): Expectation[] => {
      if (cell === '.') return []
      if (cell !== 'allow' && cell !== 'deny')
        throw new VectorError(`line ${line}: ${cell} is none of allow, deny and "."`)
      const ends = { from: from as string, to: destinations[index] as string, protocol }
      return [{ ...ends, expect: cell, by: null, at: null, pending: null, line }]
    })
  })
}

/** Judges an expectation in a world. */
export function checkExpectation(world: World, expectation: Expectation): Outcome {
  try {
    const { from, to, protocol } = expectation
    const answer = judgeProbe(world, parseProbe(world, from, to, protocol))
    return outcomeOf(expectation, decisionOf(answer), answer.pending.verdict)
  } catch (error) {
    return { expectation, verdict: null, decided: messageOf(error), differences: ['cannot be judged'] }
  }
}

/** Compares what was expected with what was decided; `pending` is null where it is not known. */
export function outcomeOf(expectation: Expectation, decision: Decision, pending: Verdict | null): Outcome {
  const { expect, by, at, pending: expectedPending } = expectation
  const { verdict, end, unanswered } = decision
  const differences = [
    ...(verdict === expect ? [] : [`expected ${expect}, ${unanswered ?? `is ${verdict}`}`]),
    ...(by === null || isDecidedBy(decision, by) ? [] : [`expected to be decided by ${by}`]),
    ...(at === null || at === end ? [] : [`expected to be decided at ${at}, is at ${end}`]),
    ...(expectedPending === null || pending === null || expectedPending === pending
      ? []
      : [`expected ${expectedPending} with staged policies, is ${pending}`]),
  ]
  const allowed = unanswered === undefined ? '' : 'policy allows it by '
  return { expectation, verdict, decided: `${allowed}${decisionText(decision)} (${end})`, differences }
}
