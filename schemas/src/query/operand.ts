import { type AddressRange, addressRange } from './address.ts'
import type { Field } from './field.ts'
import { suggestion } from './suggestion.ts'

/** What a written value means for the field that it is compared with. */
export type Operand =
  | { readonly kind: 'text'; readonly text: string }
  /** Compared without regard to the case of ASCII letters; already in lower case. */
  | { readonly kind: 'word'; readonly text: string }
  /** `*` stands for any characters, `?` for one. `fold` compares without regard to case. */
  | { readonly kind: 'pattern'; readonly text: string; readonly fold: boolean }
  | { readonly kind: 'number'; readonly value: number }
  /** Unix milliseconds. */
  | { readonly kind: 'date'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'addresses'; readonly range: AddressRange }

/** Reads a value written for a field. Returns a sentence that says what is wrong when it does not fit. */
export function operandOf(field: Field, text: string, use: 'equal' | 'order' | 'member'): Operand | string {
  switch (field.type) {
    case 'keyword':
      if (use === 'order') return numberOf(field, text)
      return use === 'member' && hasWildcard(text) ? { kind: 'pattern', text, fold: false } : { kind: 'text', text }
    case 'enum': {
      if (use === 'member' && hasWildcard(text)) return { kind: 'pattern', text: lowerCase(text), fold: true }
      const folded = lowerCase(text)
      if (field.open) return { kind: 'word', text: folded }
      const value = field.values.find((one) => lowerCase(one) === folded)
      if (value !== undefined) return { kind: 'text', text: value }
      return `${field.name} is never ${shown(text)}, only ${listOf(field.values)}${suggestion(text, field.values)}`
    }
    case 'number':
      return numberOf(field, text)
    case 'date':
      return dateOf(field, text)
    case 'boolean': {
      const folded = lowerCase(text)
      if (folded === 'true' || folded === 'false') return { kind: 'boolean', value: folded === 'true' }
      return `${field.name} is true or false, not ${shown(text)}`
    }
    case 'ip': {
      const range = addressRange(text)
      if (range !== null) return { kind: 'addresses', range }
      const hint = hasWildcard(text) ? '; write a range as a CIDR block, like "10.0.0.0/8"' : ''
      return `${field.name} is an IP address; ${shown(text)} is neither an address nor a CIDR block${hint}`
    }
  }
}

/** The ASCII letters of a text in lower case, as ClickHouse's `lower` does it. */
export function lowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function hasWildcard(text: string): boolean {
  return text.includes('*') || text.includes('?')
}

function numberOf(field: Field, text: string): Operand | string {
  if (!/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(Number(text)))
    return `${field.name} is compared with numbers; ${shown(text)} is none`
  return { kind: 'number', value: Number(text) }
}

const rfc3339 = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$/i

/** Unix seconds, or RFC 3339; a date alone means its midnight in UTC. */
function dateOf(field: Field, text: string): Operand | string {
  const value = /^\d+(\.\d+)?$/.test(text)
    ? Math.round(Number(text) * 1000)
    : rfc3339.test(text)
      ? Date.parse(text)
      : NaN
  if (value >= 0 && value <= 4_102_444_800_000) return { kind: 'date', value }
  return `${field.name} is a time: unix seconds, or like "2026-01-31T12:00:00Z"; not ${shown(text)}`
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}

/** `a, b or c`. */
function listOf(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`
}
