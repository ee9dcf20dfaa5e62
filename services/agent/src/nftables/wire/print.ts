import type { TableChange } from './change.ts'

/** The same changes as an nft script, for the nft command. */
export interface Script {
  readonly text: string
  /** Of each line: the change, and the rule or element of it that the line begins with. */
  readonly places: readonly (readonly [change: number, item: number])[]
}

/** Elements in a line: nft's parser slows down on very long ones. */
const elementsPerLine = 500

/**
 * nft 1.0.6 joins `th sport != 1` and `th dport != 2` into one question about four bytes, which is true already when one of the ports differs;
 * the same with type and code of ICMP. Behind a mask that takes nothing away they stay two.
 */
function keptApart(statement: string): string {
  const [, field, value] = /^((?:th|icmp|icmpv6) \w+) != (\d+)$/.exec(statement) ?? []
  return field === undefined ? statement : `${field} & ${field.startsWith('th') ? '0xffff' : '0xff'} != ${value}`
}

/** Prints changes of a table of the family inet, one command on a line. */
export function printScript(table: string, changes: readonly TableChange[]): Script {
  const lines: string[] = []
  const places: [number, number][] = []
  const where = `inet ${table}`
  for (const [index, change] of changes.entries()) {
    const line = (text: string, item = 0) => {
      lines.push(text)
      places.push([index, item])
    }
    if (change.type === 'table') line(`${change.op} table ${where}`)
    else if (change.type === 'chain')
      line(
        `${change.op} chain ${where} ${change.chain}${change.op === 'add' && change.hook !== null ? ` { ${change.hook} }` : ''}`,
      )
    else if (change.type === 'rules')
      for (const [item, rule] of change.rules.entries())
        line(`add rule ${where} ${change.chain} ${rule.map(keptApart).join(' ')}`, item)
    else if (change.type === 'set')
      line(`${change.op} ${change.kind} ${where} ${change.set}${change.op === 'add' ? ` { ${change.spec} }` : ''}`)
    else {
      const texts =
        change.elements instanceof Map
          ? [...change.elements].map(([key, verdict]) => (verdict === '' ? key : `${key} : ${verdict}`))
          : (change.elements as readonly string[])
      for (let at = 0; at < texts.length; at += elementsPerLine)
        line(`${change.op} element ${where} ${change.set} { ${texts.slice(at, at + elementsPerLine).join(', ')} }`, at)
    }
  }
  return { text: lines.length === 0 ? '' : `${lines.join('\n')}\n`, places }
}
