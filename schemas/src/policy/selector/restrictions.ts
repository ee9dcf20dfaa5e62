import type { Expression } from './expression.ts'

/** What a selector demands of one label, as far as can be told: it may demand more, never less. */
export interface Restriction {
  readonly presence?: 'present' | 'absent'
  /** The label must have one of these values. */
  readonly values?: ReadonlySet<string>
}

/** What a selector demands of labels, by label. */
export type Restrictions = ReadonlyMap<string, Restriction>

const none: Restrictions = new Map()

/** The restrictions of a selector by label, so that an index need not try it on everything. */
export function restrictionsOf(expression: Expression): Restrictions {
  switch (expression.kind) {
    case 'has':
      return new Map([[expression.label, { presence: 'present' }]])
    case 'compare':
      if (expression.operator === '!=') return none
      return new Map([
        [
          expression.label,
          expression.operator === '=='
            ? { presence: 'present', values: new Set([expression.value]) }
            : { presence: 'present' },
        ],
      ])
    case 'in':
      return expression.negated
        ? none
        : new Map([[expression.label, { presence: 'present', values: new Set(expression.values) }]])
    case 'not':
      return expression.operand.kind === 'has' ? new Map([[expression.operand.label, { presence: 'absent' }]]) : none
    case 'and':
      return expression.operands.map(restrictionsOf).reduce(both, none)
    case 'or':
      return expression.operands.map(restrictionsOf).reduce(either)
    default:
      return none
  }
}

function both(a: Restrictions, b: Restrictions): Restrictions {
  const merged = new Map(a)
  for (const [label, more] of b) {
    const had = merged.get(label)
    merged.set(label, had === undefined ? more : intersect(had, more))
  }
  return merged
}

function intersect(a: Restriction, b: Restriction): Restriction {
  // A label that must be present and absent at once matches nothing; either half alone is still true of it.
  const presence = a.presence ?? b.presence
  const values =
    a.values !== undefined && b.values !== undefined
      ? new Set([...a.values].filter((value) => b.values?.has(value)))
      : (a.values ?? b.values)
  return { ...(presence && { presence }), ...(values && { values }) }
}

function either(a: Restrictions, b: Restrictions): Restrictions {
  const shared = new Map<string, Restriction>()
  for (const [label, one] of a) {
    const other = b.get(label)
    if (other === undefined || one.presence !== other.presence) continue
    const values =
      one.values !== undefined && other.values !== undefined ? new Set([...one.values, ...other.values]) : undefined
    shared.set(label, { ...(one.presence && { presence: one.presence }), ...(values && { values }) })
  }
  return shared
}
