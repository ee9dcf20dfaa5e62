import { MargayError } from '@margay/kit/errors'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { flowLine, type ShownFlow } from '../print/flow-line.ts'
import { eventsOf } from '../print/sse.ts'
import { table } from '../print/table.ts'

interface FlowOptions {
  follow?: boolean
  last: string
  since?: string
  output: 'compact' | 'json'
}

/** Adds `flows` and `sql`. */
export function addEventCommands(program: Command, context: Context): void {
  program
    .command('flows [query...]')
    .description('show flows that match a query, for example: margay flows -f "action = deny AND dest_namespace = pay"')
    .option('-f, --follow', 'go on with new flows as they arrive')
    .option('--last <n>', 'how many of the newest to show', '50')
    .option('--since <duration>', 'how far to look back, as in 10m')
    .option('-o, --output <format>', 'compact or json (one object a line)', 'compact')
    .action((query: string[], options: FlowOptions) => flows(context, query.join(' '), options))
  program
    .command('sql <query>')
    .description('run a read-only SQL query over flows, dns, l7, audit, events, status')
    .option('-o, --output <format>', 'table, json or csv', 'table')
    .action((query: string, options: { output: string }) => sql(context, query, options.output))
}

async function flows(context: Context, query: string, options: FlowOptions): Promise<void> {
  const show = (flow: ShownFlow) =>
    context.out(options.output === 'json' ? JSON.stringify(flow) : flowLine(flow, context.colour))
  const parameters = new URLSearchParams({ q: query, limit: options.last, order: 'desc' })
  if (options.since !== undefined) parameters.set('from', `now-${options.since}`)
  const { events } = await context.client.call<{ events: ShownFlow[] }>('GET', `/v1/events/flows?${parameters}`)
  for (const flow of events.reverse()) show(flow)
  if (options.follow !== true) return
  const response = await context.client.open('GET', `/v1/events/flows?${new URLSearchParams({ q: query })}`, {
    accept: 'text/event-stream',
  })
  if (response.body === null) return
  for await (const event of eventsOf(response.body)) {
    if (event.name !== 'message') continue
    const data = JSON.parse(event.data) as ShownFlow | ShownFlow[]
    for (const flow of Array.isArray(data) ? data : [data]) show(flow)
  }
}

interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: Record<string, unknown>[]
  stats?: { elapsedMs?: number; rowsRead?: number }
}

async function sql(context: Context, query: string, output: string): Promise<void> {
  const answer = await context.client.call<SqlAnswer>('POST', '/v1/sql', { query })
  const names = answer.columns.map((c) => c.name)
  const cells = answer.rows.map((row) => names.map((name) => textOf(row[name])))
  if (output === 'json') for (const row of answer.rows) context.out(JSON.stringify(row))
  else if (output === 'csv') for (const row of [names, ...cells]) context.out(row.map(csvCell).join(','))
  else if (output === 'table') context.out(table(names, cells))
  else throw new MargayError('USAGE', `unknown output format ${JSON.stringify(output)}: table, json or csv`)
}

const textOf = (value: unknown) =>
  value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)

/** A cell as RFC 4180 wants it. */
const csvCell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
