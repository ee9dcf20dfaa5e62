import { Config } from '@margay/schemas'

interface Schema {
  type?: string
  default?: unknown
  description?: string
  properties?: Record<string, Schema>
  anyOf?: Schema[]
  const?: unknown
  items?: Schema
}

interface Setting {
  readonly path: readonly string[]
  readonly type: string
  readonly value: unknown
  readonly description: string
}

/** Every setting of the configuration, in the order of its schema. */
function settings(schema: Schema, path: readonly string[] = []): Setting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    child.properties !== undefined
      ? settings(child, [...path, name])
      : [{ path: [...path, name], type: typeOf(child), value: child.default, description: child.description ?? '' }],
  )
}

function typeOf(schema: Schema): string {
  const options = schema.anyOf?.filter((option) => option.const !== undefined)
  if (options !== undefined && options.length > 0) return options.map((option) => `\`${option.const}\``).join(', ')
  return schema.type === 'array' ? 'list' : (schema.type ?? 'value')
}

/** `api.requestTimeout` as the environment spells it: MARGAY_API__REQUEST_TIMEOUT. */
function variable(path: readonly string[]): string {
  return `MARGAY_${path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('__')}`
}

const shown = (value: unknown) => (value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value))

/** The reference of the configuration, from its schema. */
export function configReference(): string {
  const rows = settings(Config as Schema).map(
    (s) =>
      `| \`${s.path.join('.')}\` | ${s.type} | ${shown(s.value) === '' ? '' : `\`${shown(s.value)}\``} | ${s.description} |`,
  )
  return `# Configuration

Defaults, then the file (\`margay.yaml\`, or the one that \`MARGAY_CONFIG\` names), then the environment: \`MARGAY_<SECTION>__<KEY>\`, as in
\`MARGAY_API__PORT=8081\`; lists as YAML or JSON. The same file serves every service. Every error is reported at start, all at once.
Durations are written \`1h15m\`, \`90s\`, \`500ms\`; sizes \`64MiB\`. Secrets are files. \`margay <service> --check\` checks, \`--print-config\` shows what is in force.

| Setting | Type | Default | Meaning |
|---|---|---|---|
${rows.join('\n')}
`
}

/** An example environment file that holds every default. */
export function environmentExample(): string {
  const lines = settings(Config as Schema).map((s) => `# ${s.description}\n#${variable(s.path)}=${shown(s.value)}`)
  return `# Every setting with its default; see services/kit/CONFIG.md.\n${lines.join('\n')}\n`
}
