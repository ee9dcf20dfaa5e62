import { flow, parseQuery, type QueryError } from '@margay/schemas'
import { expect, test } from 'vitest'

/*
 * The query language, chapter 4: mistakes.
 *
 * A query is checked when it is written, not when it runs: an alert whose query cannot work is refused. The message says
 * what to do, and the position says where, so that an editor can underline it.
 */

/** The query with its mistake underlined, and what is said about it. */
function explain(text: string): string {
  try {
    parseQuery(text, flow)
    return 'no mistake'
  } catch (error) {
    const { position, length, message } = error as QueryError
    return `${text}\n${' '.repeat(position)}${'^'.repeat(Math.max(1, length))} ${message}`
  }
}

test.each([
  ['dest_namspace = shop', '^^^^^^^^^^^^^ flows has no field dest_namspace (did you mean dest_namespace?)'],
  ['action = blocked', '         ^^^^^^^ action is never "blocked", only allow or deny'],
  ['source_name > 5', '            ^ source_name has no order: > is for numbers and times; use = != IN or NOTIN'],
  [
    'dest_labels = app=web',
    '                 ^ expected AND, OR or the end; a value that contains an operator goes in quotes',
  ],
  ['dest_port = 22 || dest_port = 23', '               ^^ unexpected ||: write OR'],
])('%s', (text, said) => {
  expect(explain(text)).toBe(`${text}\n${said}`)
})
