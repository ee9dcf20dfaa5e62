import type { Rule } from '../ruleset.ts'
import { type AttributeWriter, createAttributeWriter } from './attribute-writer.ts'
import { compare, comparisons, loadMeta, metaKeys } from './expression.ts'
import type { Statement, StatementCompiler } from './statement.ts'

/** Asks that a packet is of a family or protocol, before its header is read as one of them. */
function packetsOf(key: number, value: number): Uint8Array {
  const writer = createAttributeWriter(128)
  loadMeta(writer, key)
  compare(writer, comparisons.equal, Uint8Array.of(value))
  return Uint8Array.from(writer.view())
}

/** Writes the expressions of rules. */
export interface RuleWriter {
  /** Gives the statement that is not of the vocabulary, or null. */
  write(writer: AttributeWriter, rule: Rule): string | null
}

/**
 * Makes a writer of rules. As nft does, it puts before a statement about addresses or ICMP the question whether the packet has any,
 * unless an earlier statement of the rule asked it.
 */
export function createRuleWriter(compiler: StatementCompiler): RuleWriter {
  const questions = new Map<number, Uint8Array>()
  function ask(writer: AttributeWriter, key: number, value: number): void {
    const id = (key << 8) | value
    let bytes = questions.get(id)
    if (bytes === undefined) {
      bytes = packetsOf(key, value)
      questions.set(id, bytes)
    }
    writer.copy(bytes)
  }

  return {
    write(writer, rule) {
      let family = 0
      let protocol = 0
      for (let index = 0; index < rule.length; index += 1) {
        const statement: Statement | null = compiler.compile(rule[index] as string)
        if (statement === null) return rule[index] as string
        if (statement.protocol === 0 || statement.protocol !== protocol) {
          if (statement.family !== 0 && statement.family !== family) {
            family = statement.family
            ask(writer, metaKeys.nfproto, family)
          }
          if (statement.protocol !== 0) {
            protocol = statement.protocol
            ask(writer, metaKeys.l4proto, protocol)
          }
        }
        writer.copy(statement.byFamily?.get(family) ?? statement.bytes)
        if (statement.tellsFamily !== 0) family = statement.tellsFamily
        if (statement.tellsProtocol !== 0) protocol = statement.tellsProtocol
      }
      return null
    },
  }
}
