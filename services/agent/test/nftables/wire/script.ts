import type { TableChange } from '../../../src/nftables/wire/change.ts'

/** Words that begin a statement when they follow another: enough to cut the lines of golden files. */
const beginnings =
  / (?=(?:meta (?:nfproto|l4proto|mark)|iifname|oifname|ip6? [sd]addr|th [sd]port|icmp(?:v6)? (?:type|code)|ct (?:state|status|direction|original)|fib|counter|log prefix|limit rate|jump|goto|return|accept|drop|reject|notrack)\b)/

/** The statements of a rule's text. What a statement says of marks or of a concatenation is not a statement of its own. */
function statements(text: string): string[] {
  const quoted: string[] = []
  const bare = text.replace(/"[^"]*"/g, (quote) => `"${quoted.push(quote) - 1}"`)
  const parts: string[] = []
  for (const part of bare.split(beginnings)) {
    const last = parts.at(-1)
    if (last !== undefined && /( set| \.|^meta mark set)$/.test(last)) parts[parts.length - 1] = `${last} ${part}`
    else parts.push(part)
  }
  return parts.map((part) => part.replace(/"(\d+)"/g, (_, index) => quoted[Number(index)] as string))
}

/** The changes that a script of one command a line stands for, as the renderer's golden files are written. */
export function parseScript(script: string): TableChange[] {
  const specs = new Map<string, string>()
  return script
    .split('\n')
    .filter((line) => line !== '')
    .map((line): TableChange => {
      const [, object, rest] = /^add (table|chain|set|map|element|rule) inet margay ?(.*)$/.exec(line) ?? []
      const [, name, body] = /^(\S+) ?(.*)$/.exec(rest ?? '') ?? []
      const inner = body?.replace(/^\{ (.*) \}$/, '$1') ?? ''
      if (object === 'table') return { type: 'table', op: 'add' }
      if (name === undefined) throw new Error(`not a command of a golden file: ${line}`)
      if (object === 'chain') return { type: 'chain', op: 'add', chain: name, hook: inner === '' ? null : inner }
      if (object === 'rule') return { type: 'rules', chain: name, rules: [statements(inner)] }
      if (object === 'set' || object === 'map') {
        specs.set(name, inner)
        return { type: 'set', op: 'add', kind: object, set: name, spec: inner }
      }
      const spec = specs.get(name) as string
      const kind = spec.includes(': verdict') ? 'map' : 'set'
      const elements = new Map(
        inner
          .split(', ')
          .map((text) => text.split(' : ') as [string, string?])
          .map(([key, verdict]) => [key, verdict ?? '']),
      )
      return { type: 'elements', op: 'add', kind, set: name, spec, elements }
    })
}
