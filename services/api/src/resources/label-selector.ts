import { MargayError } from '@margay/kit/errors'
import type { Labels } from '@margay/schemas'

const requirement =
  /^\s*(?:(?<absent>!)\s*(?<absentKey>[\w./-]+)|(?<key>[\w./-]+)\s*(?:(?<operator>==|=|!=)\s*(?<value>[\w.-]*)|\s(?<set>in|notin)\s*\((?<values>[^()]*)\))?)\s*$/

/**
 * Reads a Kubernetes label selector (`app=web,tier!=db,env in (a, b),!legacy`), as list requests carry it.
 * Throws REQUEST_INVALID on other text. Syntax: Kubernetes, "Labels and Selectors".
 */
export function parseLabelSelector(text: string): (labels: Labels) => boolean {
  const tests = splitOutsideParentheses(text)
    .filter((part) => part.trim() !== '')
    .map((part) => testOf(part))
  return (labels) => tests.every((test) => test(labels))
}

function testOf(part: string): (labels: Labels) => boolean {
  const groups = requirement.exec(part)?.groups
  if (!groups) {
    throw new MargayError(
      'REQUEST_INVALID',
      `labelSelector: cannot read ${JSON.stringify(part.trim())}: write key=value, key!=value, key in (a, b), key notin (a, b), key or !key`,
      { status: 400 },
    )
  }
  const { absentKey, operator, set } = groups
  if (absentKey !== undefined) return (labels) => labels[absentKey] === undefined
  const key = groups.key as string
  if (operator === '!=') return (labels) => labels[key] !== groups.value
  if (operator !== undefined) return (labels) => labels[key] === groups.value
  if (set === undefined) return (labels) => labels[key] !== undefined
  const values = new Set((groups.values as string).split(',').map((value) => value.trim()))
  if (set === 'in') return (labels) => labels[key] !== undefined && values.has(labels[key])
  return (labels) => labels[key] === undefined || !values.has(labels[key])
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '(') depth += 1
    else if (text[i] === ')') depth -= 1
    else if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}
