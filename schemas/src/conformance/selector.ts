import type { Labels } from '../policy/model.ts'
import { parseSelector } from '../policy/selector/selector.ts'
import { type Given, messageOf, objectOf, textOf, VectorError } from './request.ts'

/** What is said of a selector. */
export interface SelectorAnswer {
  readonly valid: boolean
  readonly canonical: string | null
  /** Whether it selects the labels; null when it is not valid. */
  readonly match: boolean | null
  readonly error: string | null
}

/** Answers `{selector, labels}`. Throws VectorError when these are not text and texts. */
export function answerSelector(given: Given): SelectorAnswer {
  const text = textOf(given, 'selector')
  const labels = given.labels === undefined || given.labels === null ? {} : objectOf(given, 'labels')
  for (const label in labels)
    if (typeof labels[label] !== 'string') throw new VectorError(`the value of label ${label} must be text`)
  try {
    const { canonical, matches } = parseSelector(text)
    return { valid: true, canonical, match: matches(labels as Labels), error: null }
  } catch (error) {
    return { valid: false, canonical: null, match: null, error: messageOf(error) }
  }
}
