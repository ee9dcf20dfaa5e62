/** Longest value that a variable puts into a text, and longest text, in characters as people count them (code points). */
const limits = { value: 256, text: 4096 }

const variable = /\$\{\s*([^{}]+?)\s*\}/g

/**
 * Control characters, line breaks of every kind, marks that change the direction of writing, halves of characters.
 * Values come from the network: they must not end a line of a mail header, colour a terminal or turn a name around.
 */
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]+/gu

/** Names of the variables in a template, each once: `${source_namespace}/${objectRef.name}`. */
export function templateVariables(text: string): string[] {
  return [...new Set([...text.matchAll(variable)].map(([, name]) => name as string))]
}

/**
 * Puts values in the place of `${name}`; a name is looked up as it is written, dots included. A value that is missing
 * or null leaves nothing, a list is joined with commas, an object becomes JSON. Values are stripped of what cannot be
 * printed and cut at 256 characters, the whole at 4,096. Escaping for HTML, Slack and the like is for whoever sends it.
 */
export function renderTemplate(text: string, values: Readonly<Record<string, unknown>>): string {
  const rendered = text.replace(variable, (_, name: string) =>
    Object.hasOwn(values, name) ? cut(textOf(values[name]).replace(unprintable, ' '), limits.value) : '',
  )
  return cut(rendered, limits.text)
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(textOf).join(', ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function cut(text: string, limit: number): string {
  if (text.length <= limit) return text
  const characters = [...text]
  return characters.length <= limit ? text : `${characters.slice(0, limit - 1).join('')}…`
}
