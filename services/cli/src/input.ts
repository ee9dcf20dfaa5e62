import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'

/** A text that was given with -f. */
export interface InputFile {
  readonly name: string
  readonly text: string
}

/** Reads what `-f` names: files, folders (their .yaml, .yml and .json, sorted) and `-` for standard input. Throws FILE_UNREADABLE. */
export function readInput(paths: readonly string[]): InputFile[] {
  return paths.flatMap((path) => {
    try {
      if (path === '-') return [{ name: 'standard input', text: readFileSync(0, 'utf8') }]
      if (!statSync(path).isDirectory()) return [{ name: path, text: readFileSync(path, 'utf8') }]
      return readdirSync(path)
        .filter((file) => /\.(ya?ml|json)$/.test(file))
        .sort()
        .map((file) => ({ name: join(path, file), text: readFileSync(join(path, file), 'utf8') }))
    } catch (cause) {
      throw new MargayError('FILE_UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { cause })
    }
  })
}

/** Joins files into one text of many documents, so that they are applied all or not at all. */
export function joinDocuments(files: readonly InputFile[]): {
  text: string
  name: string
  locate(line: number): string
} {
  const starts: { name: string; first: number }[] = []
  let text = ''
  let line = 1
  for (const file of files) {
    if (text !== '') {
      text += '---\n'
      line += 1
    }
    starts.push({ name: file.name, first: line })
    // JSON is YAML: several files of either kind make one stream of documents.
    const content = file.text.endsWith('\n') ? file.text : `${file.text}\n`
    text += content
    line += content.split('\n').length - 1
  }
  return {
    text,
    name: files.map((file) => file.name).join(','),
    locate(at) {
      const start = starts.findLast((s) => s.first <= at)
      return start === undefined ? `line ${at}` : `${start.name}:${at - start.first + 1}`
    },
  }
}
