/** Where the kernel calls a chain, as in `type filter hook forward priority filter; policy accept;`. */
export interface Hook {
  readonly type: string
  /** Number of the hook in netfilter (linux/netfilter.h). */
  readonly number: number
  /** Chains of a hook are called from the lowest to the highest. */
  readonly priority: number
  readonly policy: 'accept' | 'drop'
}

const numbers: readonly string[] = ['prerouting', 'input', 'forward', 'output', 'postrouting']
/** Names of priorities (nft(8), "standard priority names"); `dstnat` and `srcnat` have hooks of their own. */
const priorities: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
}

const form =
  /^type (filter|route|nat) hook ([a-z]+) priority (-?\d+|[a-z]+(?: [+-] \d+)?); ?(?:policy (accept|drop);)?$/

/** Reads the text of a hook; null when it is none. */
export function parseHook(text: string): Hook | null {
  const [, type, hook, priority, policy] = form.exec(text) ?? []
  if (type === undefined) return null
  const number = hookNumber(hook as string)
  const value = parsePriority(priority as string)
  if (number === null || value === null) return null
  return { type, number, priority: value, policy: policy === 'drop' ? 'drop' : 'accept' }
}

function parsePriority(text: string): number | null {
  if (/^-?\d+$/.test(text)) return Number(text)
  const [name, sign, offset] = text.split(' ') as [string, string?, string?]
  const base = priorities[name]
  if (base === undefined) return null
  return base + (sign === '-' ? -1 : 1) * Number(offset ?? 0)
}

/** The number of a hook by its name; null when there is no such hook. */
export function hookNumber(name: string): number | null {
  const number = numbers.indexOf(name)
  return number < 0 ? null : number
}

/** The text of a hook; the same for all texts that mean the same. */
export function printHook({ type, number, priority, policy }: Hook): string {
  let text = `${priority}`
  for (const [name, base] of Object.entries(priorities)) {
    const offset = priority - base
    if (offset === 0) text = name
    else if (Math.abs(offset) <= 10) text = `${name} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`
  }
  return `type ${type} hook ${numbers[number] ?? number} priority ${text}; policy ${policy};`
}
