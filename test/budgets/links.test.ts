import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { filesBelow, textOf } from './sources.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Targets of the links and pictures of a document, outside of its code. */
function targetsOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)/g)].map(([, target]) => target as string)
}

/** The anchor of a heading, as code forges make it. */
const anchorOf = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')

/** Why a link of a document leads nowhere; null when it leads somewhere, or out of the repository. */
function fault(document: string, target: string): string | null {
  if (/^[a-z]+:/.test(target)) return null
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? document : join(dirname(document), path)
  if (!existsSync(join(root, file))) return `${document}: ${target} does not exist`
  if (anchor === undefined || !file.endsWith('.md')) return null
  const anchors = [...textOf(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string))
  return anchors.includes(anchor) ? null : `${document}: ${target} has no such heading`
}

const documents = filesBelow('.', /\.md$/)

test('every link of every document leads somewhere', () => {
  expect(documents).toContain('README.md')
  const links = documents.flatMap((document) => targetsOf(textOf(document)).map((target) => ({ document, target })))
  expect(links.length).toBeGreaterThan(0)
  expect(links.flatMap(({ document, target }) => fault(document, target) ?? [])).toEqual([])
})
