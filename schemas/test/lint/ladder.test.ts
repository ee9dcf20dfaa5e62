import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { LintSubject } from '../../src/lint/finding.ts'
import { lint } from '../../src/lint/lint.ts'
import { keyOf } from '../../src/resources/kinds.ts'
import { parseResources } from '../../src/resources/parse.ts'

const read = (path: string) =>
  parseResources(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8'), path.split('/').pop()).resources
const topology = [
  'services/lab/manifests/demo/dev-stack.yaml',
  'services/lab/manifests/demo/online-boutique.yaml',
  'services/lab/manifests/cluster/kube-dns.yaml',
].flatMap(read)

/** What the linter says of each stage of the workshop's ladder, on top of the topology: `file:line severity rule`. */
const protectsNothing = [
  's1.yaml:45 warning tier-protects-nothing',
  's1.yaml:79 warning tier-protects-nothing',
  's1.yaml:95 warning tier-protects-nothing',
]
const base = ['s1.yaml:30 info selects-nothing', 's1.yaml:69 warning udp-only-dns']
/** Seven policies of the shop leave the internet open. */
const shop = [
  's3.yaml:66 warning allow-to-anywhere',
  's3.yaml:93 warning allow-to-anywhere',
  's3.yaml:156 warning allow-to-anywhere',
  's3.yaml:221 info allow-from-anywhere',
  's3.yaml:241 warning allow-to-anywhere',
  's3.yaml:317 warning allow-to-anywhere',
  's3.yaml:350 warning allow-to-anywhere',
  's3.yaml:397 warning allow-to-anywhere',
]
/** The feed's policy passes on what the tier's last one was to pass on. */
const feed = ['s1.yaml:55 info shadowed-rule']
const partner = ['s6.yaml:14 info shadowed-rule', 's6.yaml:15 warning udp-only-dns']
const stages: Readonly<Record<string, readonly string[]>> = {
  s1: [...base, ...protectsNothing],
  // A staged policy protects nothing either.
  s2: [...base, ...protectsNothing],
  s3: [...base, ...shop],
  s4: [...base, ...shop],
  s5: [...base, ...feed, ...shop],
  s6: [...base, ...feed, ...shop, ...partner],
  s7: [...base, ...feed, ...shop, ...partner, 's7.yaml:18 info wildcard-apex'],
  s8: [...base, ...feed, ...shop, ...partner, 's8.yaml:10 info wildcard-apex'],
  s9: [...base, ...feed, ...shop, ...partner, 's9.yaml:10 info wildcard-apex', 's9.yaml:11 info wildcard-apex'],
}

const told = (subjects: readonly LintSubject[]) =>
  lint(subjects)
    .map(({ file, line, severity, rule }) => `${file}:${line} ${severity} ${rule}`)
    .sort()

test('the ladder of the workshop gives the findings that its statements deserve, stage by stage', () => {
  const state = new Map<string, LintSubject>()
  for (const [stage, expected] of Object.entries(stages)) {
    for (const subject of read(`test/fixtures/ladder/${stage}.yaml`)) state.set(keyOf(subject.resource), subject)
    const removed = stage === 's4' ? read('test/fixtures/ladder/s4-remove.yaml') : []
    for (const { resource } of removed) state.delete(keyOf(resource))
    expect(told([...topology, ...state.values()]), stage).toEqual([...expected].sort())
  }
})

test('a staged copy that was not removed when the policy was enforced is told', () => {
  const left = [...read('test/fixtures/ladder/s2.yaml'), ...read('test/fixtures/ladder/s4.yaml')]
  expect(told([...topology, ...left])).toContain('s2.yaml:2 warning staged-leftover')
})

test('the topology alone has nothing to be told', () => {
  expect(told(topology)).toEqual([])
})

test('policies without the workloads they are for are not held against workloads', () => {
  const policies = ['s1', 's3', 's4', 's5', 's6', 's9'].flatMap((stage) => read(`test/fixtures/ladder/${stage}.yaml`))
  expect(told(policies).filter((line) => !line.includes('allow-'))).toEqual(
    [
      's1.yaml:55 info shadowed-rule',
      's1.yaml:69 warning udp-only-dns',
      's6.yaml:14 info shadowed-rule',
      's6.yaml:15 warning udp-only-dns',
      's9.yaml:10 info wildcard-apex',
      's9.yaml:11 info wildcard-apex',
      // The policy of stage 8 that uses it is not among these.
      's9.yaml:4 info unused-network-set',
    ].sort(),
  )
})
