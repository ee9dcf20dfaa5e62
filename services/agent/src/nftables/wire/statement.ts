import { actionForms } from './action-statements.ts'
import { type AttributeWriter, createAttributeWriter } from './attribute-writer.ts'
import { connectionForms } from './connection-statements.ts'
import { matchForms } from './match-statements.ts'
import { families } from './protocol.ts'

/** One nft statement as nf_tables expressions. */
export interface Statement {
  readonly bytes: Uint8Array
  /** Expressions in rules that are about one family of packets, where they differ. */
  readonly byFamily: ReadonlyMap<number, Uint8Array> | null
  /** Packets that it is about, which the rule has to ask for before it; 0: any. */
  readonly family: number
  readonly protocol: number
  /** What holds of packets that passed it; 0: nothing new. */
  readonly tellsFamily: number
  readonly tellsProtocol: number
}

/** What a form says of the statement that it wrote; what is absent is 0. */
export type StatementNote = Partial<Omit<Statement, 'bytes' | 'byFamily'>>

/** A kind of statement: the text that it is written as, and the expressions that it means. Writing gives null when a value is wrong. */
export interface StatementForm {
  readonly form: RegExp
  write(writer: AttributeWriter, groups: Readonly<Record<string, string | undefined>>): StatementNote | null
  /** As `write`, for packets of one family. */
  readonly byFamily?: (writer: AttributeWriter, family: number) => void
}

/** Turns texts of statements into expressions, and remembers those it did last. */
export interface StatementCompiler {
  /** Null when the text is no statement of the vocabulary. */
  compile(text: string): Statement | null
}

/** Statements remembered: half of them, the least used, make room when there are more. */
const usualMemory = 65_536

/** How packets are handed to a process: nf_tables' own expression, or the target of xtables where the kernel has no such expression. */
export type QueueForm = 'native' | 'target'

const noGroups = {}

/** Makes a compiler with an empty memory; `longestMemory` statements stay in it at most. */
export function createStatementCompiler(queue: QueueForm, longestMemory = usualMemory): StatementCompiler {
  const forms = new Map<string, StatementForm[]>()
  for (const [word, list] of [...matchForms, ...connectionForms, ...actionForms(queue)])
    forms.set(word, [...(forms.get(word) ?? []), ...list])
  const writer = createAttributeWriter(1024)
  let recent = new Map<string, Statement>()
  let older = new Map<string, Statement>()

  /** A copy of what was written. Buffer.from cuts small copies out of shared slabs: a tenth of the cost of an array of their own. */
  function take(): Uint8Array {
    const bytes = Buffer.from(writer.view())
    writer.clear()
    return bytes
  }

  function parse(text: string): Statement | null {
    const space = text.indexOf(' ')
    for (const { form, write, byFamily } of forms.get(space < 0 ? text : text.slice(0, space)) ?? []) {
      const match = form.exec(text)
      if (match === null) continue
      writer.clear()
      const note = write(writer, match.groups ?? noGroups)
      if (note === null) return null
      return {
        bytes: take(),
        byFamily: byFamily === undefined ? null : new Map([families.ipv4, families.ipv6].map(written(byFamily))),
        family: note.family ?? 0,
        protocol: note.protocol ?? 0,
        tellsFamily: note.tellsFamily ?? 0,
        tellsProtocol: note.tellsProtocol ?? 0,
      }
    }
    return null
  }

  function written(write: (writer: AttributeWriter, family: number) => void) {
    return (family: number): [number, Uint8Array] => {
      write(writer, family)
      return [family, take()]
    }
  }

  return {
    compile(text) {
      const known = recent.get(text)
      if (known !== undefined) return known
      const statement = older.get(text) ?? parse(text)
      if (statement === null) return null
      if (recent.size >= longestMemory / 2) {
        older = recent
        recent = new Map()
      }
      recent.set(text, statement)
      return statement
    },
  }
}
