import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PolicyRef, TraceEntry } from '../../src/policy/model.ts'
import { formatTrace, parseTrace, shortName, TraceError } from '../../src/policy/trace.ts'

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,3})?$/)
const ref: fc.Arbitrary<{ ref: PolicyRef; staged: boolean }> = fc.oneof(
  fc
    .record({ tier: label, name: label })
    .map(({ tier, name }) => ({ ref: { kind: 'gnp' as const, tier, namespace: null, name }, staged: false })),
  fc
    .record({ tier: label, name: label })
    .map(({ tier, name }) => ({ ref: { kind: 'sgnp' as const, tier, namespace: null, name }, staged: true })),
  fc
    .record({ tier: label, namespace: label, name: label })
    .map((given) => ({ ref: { kind: 'np' as const, ...given }, staged: false })),
  fc
    .record({ tier: label, namespace: label, name: label })
    .map((given) => ({ ref: { kind: 'snp' as const, ...given }, staged: true })),
  fc
    .record({ namespace: label, name: label })
    .map((given) => ({ ref: { kind: 'knp' as const, tier: 'default', ...given }, staged: false })),
  fc
    .record({ namespace: label, name: label })
    .map((given) => ({ ref: { kind: 'sknp' as const, tier: 'default', ...given }, staged: true })),
  label.map((name) => ({ ref: { kind: 'kcnp' as const, tier: 'kube-admin', namespace: null, name }, staged: false })),
  label.map((name) => ({
    ref: { kind: 'profile' as const, tier: '__PROFILE__', namespace: null, name: `kns.${name}` },
    staged: false,
  })),
)
const entry: fc.Arbitrary<TraceEntry> = fc
  .tuple(
    ref,
    fc.nat(9),
    fc.constantFrom('allow' as const, 'deny' as const, 'pass' as const),
    fc.integer({ min: -2, max: 99 }),
  )
  .map(([given, index, action, ruleIndex]) => ({ index, ...given, action, ruleIndex }))

describe('trace entries', () => {
  test('are read back as they were written, but for a tier in front of the name', () => {
    fc.assert(
      fc.property(entry, (given) => {
        const read = parseTrace(formatTrace(given))
        expect(read).toEqual({ ...given, ref: { ...given.ref, name: shortName(given.ref) } })
        expect(formatTrace(read)).toBe(formatTrace(given))
      }),
    )
  })

  test('do not double a tier that the name begins with', () => {
    const given = { index: 0, staged: false, action: 'pass' as const, ruleIndex: 0 }
    expect(formatTrace({ ...given, ref: { kind: 'gnp', tier: 'security', namespace: null, name: 'security.x' } })).toBe(
      '0|security|security.x|pass|0',
    )
    expect(formatTrace({ ...given, ref: { kind: 'np', tier: 'a', namespace: 'ns', name: 'x' } })).toBe(
      '0|a|ns/a.x|pass|0',
    )
  })

  test.each([
    ['0|security|security.pass-to-next-tier|pass|0', 'gnp', null, 'pass-to-next-tier', false],
    ['2|application|default/application.frontend|allow|0', 'np', 'default', 'frontend', false],
    ['3|default|dev/knp.default.nginx|allow|0', 'knp', 'dev', 'nginx', false],
    ['3|__PROFILE__|__PROFILE__.kns.default|allow|0', 'profile', null, 'kns.default', false],
    ['3|default|staged:default.default-deny|deny|-1', 'sgnp', null, 'default-deny', true],
    ['3|default|default.staged:default-deny|deny|-1', 'sgnp', null, 'default-deny', true],
    ['3|default|dev/staged:default.web|deny|-1', 'snp', 'dev', 'web', true],
    ['3|default|dev/default.staged:web|deny|-1', 'snp', 'dev', 'web', true],
    ['3|default|dev/staged:knp.default.web|allow|1', 'sknp', 'dev', 'web', true],
    ['0|default|np:ns1/web|allow|2', 'np', 'ns1', 'web', false],
    ['0|default|gnp:web|deny|-1', 'gnp', null, 'web', false],
    ['0|default|sgnp:web|deny|-1', 'sgnp', null, 'web', true],
    ['0|default|sknp:ns1/web|deny|-1', 'sknp', 'ns1', 'web', true],
    ['0|kube-admin|kcnp:web|deny|0', 'kcnp', null, 'web', false],
    ['0|__PROFILE__|pro:kns.shop|allow|0', 'profile', null, 'kns.shop', false],
    ['1|adminnetworkpolicy|kanp.adminnetworkpolicy.web|pass|0', 'kcnp', null, 'web', false],
  ])('%s is understood', (text, kind, namespace, name, staged) => {
    const read = parseTrace(text)
    expect(read.ref).toMatchObject({ kind, namespace, name })
    expect(read.staged).toBe(staged)
  })

  test.each(['', '0|a|b|allow', 'x|a|b|allow|0', '0|a|b|log|0', '0||b|allow|0', '0|a|b|allow|0|'])(
    '%j is refused',
    (text) => {
      expect(() => parseTrace(text)).toThrow(TraceError)
    },
  )
})
