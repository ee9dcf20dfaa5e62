import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '@margay/kit/config'
import { MargayError } from '@margay/kit/errors'
import type { LintFinding, Resource } from '@margay/schemas'
import { Command } from 'commander'
import { afterAll, describe, expect, test } from 'vitest'
import type { Client } from '../src/client.ts'
import { addLintCommands } from '../src/commands/lint.ts'

const folder = mkdtempSync(join(tmpdir(), 'margay-lint-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const open = file(
  'open.yaml',
  `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == "web"
  ingress:
    - action: Allow
  egress:
    - action: Allow
      protocol: TCP
      destination: {ports: [443]}
    - {action: Allow, protocol: UDP, destination: {ports: [53]}}
    - {action: Allow, protocol: TCP, destination: {ports: [53]}}
`,
)
const fine = file('fine.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n')
const broken = file(
  'broken.yaml',
  'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {order: first}\n',
)

/** Runs `margay lint`; the cluster of the API holds the resources given. */
async function lint(args: readonly string[], cluster: readonly Resource[] = [], forbidden: readonly string[] = []) {
  let out = ''
  let talk = ''
  let exit = 0
  const client: Client = {
    url: '',
    call: async <T>(_method: string, path: string) => {
      const plural = path.split(/[/.]/)[3] as string
      if (forbidden.includes(plural)) throw new MargayError('FORBIDDEN', 'no', { status: 403 })
      return { items: cluster.filter(({ kind }) => `${kind.toLowerCase()}s` === plural) } as T
    },
    open: () => Promise.reject(new Error('not asked')),
  }
  const program = new Command().exitOverride()
  addLintCommands(program, {
    config: loadConfig({ MARGAY_HOME: folder }),
    client,
    out: (text) => {
      out += `${text}\n`
    },
    talk: (text) => {
      talk += `${text}\n`
    },
    colour: false,
    now: () => 0,
    setExit: (code) => {
      exit = code
    },
  })
  await program.parseAsync(['lint', ...args], { from: 'user' })
  return { out, talk, exit }
}

describe('margay lint', () => {
  test('tells file, line, what, why and what to do, and exits 1', async () => {
    const { out, talk, exit } = await lint(['-f', open])
    expect({ talk, exit }).toEqual({ talk: '1 resource: 1 warning, 1 info.\n', exit: 1 })
    expect(out.split('\n')).toEqual([
      `${open}:7: info: NetworkPolicy shop/web lets everybody in (allow-from-anywhere)`,
      '  at:  spec.ingress[0]',
      expect.stringMatching(/^ {2}why: /),
      expect.stringMatching(/^ {2}do: {2}/),
      '  see: schemas/LINT.md#allow-from-anywhere',
      `${open}:11: warning: NetworkPolicy shop/web allows TCP 443 to anywhere (allow-to-anywhere)`,
      '  at:  spec.egress[0].destination',
      expect.stringMatching(/^ {2}why: /),
      expect.stringMatching(/^ {2}do: {2}/),
      '  see: schemas/LINT.md#allow-to-anywhere',
      '',
    ])
  })

  test('exits by the severity asked for', async () => {
    expect((await lint(['-f', fine, '--fail-on', 'info'])).exit).toBe(0)
    expect((await lint(['-f', open, '--fail-on', 'error'])).exit).toBe(0)
    expect((await lint(['-f', open, '--fail-on', 'info'])).exit).toBe(1)
    await expect(lint(['-f', open, '--fail-on', 'all'])).rejects.toMatchObject({ code: 'USAGE', status: 64 })
    await expect(lint(['-f', join(folder, 'absent.yaml')])).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
  })

  test('a document that the API would refuse is told, and exits 65', async () => {
    const { out, exit } = await lint(['-f', broken, open])
    expect(exit).toBe(65)
    expect(out).toContain(`${broken}:4: error: must be a number, not string "first" (type) (validation)`)
    expect(out).toContain('allow-to-anywhere')
  })

  test('prints findings as lines of JSON', async () => {
    const { out } = await lint(['-f', folder, '-o', 'json'])
    const findings = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LintFinding)
    expect(findings.map(({ rule, severity, file: path, line }) => ({ rule, severity, path, line }))).toEqual([
      { rule: 'validation', severity: 'error', path: broken, line: 4 },
      { rule: 'allow-from-anywhere', severity: 'info', path: open, line: 7 },
      { rule: 'allow-to-anywhere', severity: 'warning', path: open, line: 11 },
    ])
  })

  const pod = (name: string, labels: Record<string, string>): Resource => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { nodeName: 'node1' },
  })

  test('holds files against the cluster when asked, and tells of the files alone', async () => {
    const cluster = [pod('web-1', { app: 'wbe' })]
    expect((await lint(['-f', open])).out).not.toContain('selector-typo')
    expect((await lint(['-f', open, '--against-cluster'], cluster)).out).toContain(
      `${open}:5: warning: NetworkPolicy shop/web selects no endpoint: the label app of shop/web-1 is wbe, not web (selector-typo)`,
    )
  })

  test('without files it looks at the cluster, and names objects instead of lines', async () => {
    const tier: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkSet',
      metadata: { name: 'apis' },
      spec: { allowedEgressDomains: ['*.example.com'] },
    }
    const { out, talk, exit } = await lint([], [tier, pod('web-1', { app: 'web' })])
    expect(out).toContain('GlobalNetworkSet apis: info: *.example.com does not match example.com (wildcard-apex)')
    expect({ talk, exit }).toEqual({ talk: '2 resources: 1 info.\n', exit: 0 })
  })

  test('says which kinds the user may not see', async () => {
    const { talk, exit } = await lint([], [pod('web-1', { app: 'web' })], ['tiers', 'nodes'])
    expect({ talk, exit }).toEqual({
      talk: 'not looked at, since you may not list them: tiers, nodes\n1 resource: nothing found.\n',
      exit: 0,
    })
  })
})
