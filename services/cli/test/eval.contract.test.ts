import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { vectors as all, difference } from '../../../schemas/test/conformance/vectors.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

function start(conformance: string) {
  return spawn(process.execPath, ['--import', 'tsx', '--conditions=source', main, 'eval', conformance], {
    env: { ...process.env, MARGAY_HOME: tmpdir() },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}

/** Runs `margay eval` over a text. */
async function evaluated(conformance: string, input: string): Promise<{ code: number; lines: string[] }> {
  const child = start(conformance)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number]
  return { code, lines: output.split('\n').slice(0, -1) }
}

test('answers come in the order of the vectors; a bad line is answered like the others and ends nothing', async () => {
  const { code, lines } = await evaluated(
    'selector',
    [
      '{"id":"first","selector":"app == \'web\'","labels":{"app":"web"}}',
      'not JSON',
      '',
      '{"id":"third","selector":"app = \'web\'","labels":{}}',
      '{"id":4,"labels":{}}',
    ].join('\n'),
  )
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { id: 'first', valid: true, canonical: 'app == "web"', match: true, error: null },
    { id: null, valid: false, error: expect.stringMatching(/^line 2 is not JSON: /) },
    { id: 'third', valid: false, canonical: null, match: null, error: expect.stringContaining('position 4') },
    { id: 4, valid: false, error: 'selector must be text' },
  ])
  expect(code).toBe(0)
})

test('vectors of the repository are answered by the process as by the functions behind it', async () => {
  for (const asked of ['kubernetes', 'query'] as const) {
    const vectors = all.filter(({ ask }) => ask === asked)
    const { lines } = await evaluated(
      asked,
      vectors.map(({ id, request }) => JSON.stringify({ id, ...request })).join('\n'),
    )
    const answers = lines.map((line) => JSON.parse(line))
    expect(answers.map(({ id }) => id)).toEqual(vectors.map(({ id }) => id))
    expect(vectors.flatMap(({ expected }, index) => difference(answers[index], expected) ?? [])).toEqual([])
  }
})

/** Processor seconds that a process has used until now (proc(5), fields 14 and 15, in hundredths). */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

test('at least 20,000 selectors a second go through the process', async () => {
  const count = 100_000
  const vectors = Array.from({ length: count }, (_, id) => ({
    id,
    selector: `app in {'web', 'api-${id % 500}'} && (!has(old) || tier == 'db-${id % 7}')`,
    labels: { app: 'web', tier: 'db-1', env: 'prod' },
  }))
  const child = start('selector')
  child.stdin.on('error', () => {})
  const started = performance.now()
  child.stdin.write(vectors.map((vector) => `${JSON.stringify(vector)}\n`).join(''))
  let [lines, last] = [0, '']
  for await (const text of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    lines += text.split('\n').length - 1
    last = text
    if (lines === count) break
  }
  // On a busy machine the clock tells of others; the process's own time tells of it, its start included.
  const seconds = Math.min((performance.now() - started) / 1000, processorSeconds(child.pid as number))
  child.kill()
  expect(JSON.parse(last.trimEnd().split('\n').at(-1) as string)).toMatchObject({ id: count - 1, match: true })
  expect(count / seconds).toBeGreaterThan(20_000)
})

test('what nobody reads is not answered: memory stays bounded by back-pressure', async () => {
  const child = start('selector')
  const line = `${JSON.stringify({ id: 'x'.repeat(1000), selector: 'all()', labels: {} })}\n`
  const block = line.repeat(1000)
  // What is still under way when it is ended finds nobody to read it.
  child.stdin.on('error', () => {})
  let accepted = 0
  // Nobody reads the output, so the input must come to a halt after what pipes and buffers hold.
  for (let i = 0; i < 64; i += 1) {
    if (!child.stdin.write(block)) {
      const drained = await Promise.race([
        once(child.stdin, 'drain').then(() => true),
        new Promise<boolean>((resolve) => setTimeout(resolve, 3000, false)),
      ])
      if (!drained) break
    }
    accepted += 1
  }
  child.kill()
  await once(child, 'close')
  expect(accepted).toBeLessThan(16)
})
