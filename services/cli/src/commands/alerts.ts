import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { age, table } from '../print/table.ts'

interface AlertEvent {
  time: string
  name: string
  severity: number
  description: string
}

interface Message {
  time: string
  receiver: string
  state: string
  subject: string
}

/** Adds `alerts` (what fired) and `inbox` (what was sent). */
export function addAlertCommands(program: Command, context: Context): void {
  program
    .command('alerts')
    .description('what alerts fired')
    .command('list', { isDefault: true })
    .description('show what alerts fired, newest first')
    .option('--last <n>', 'how many', '50')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async (options: { last: string; output: string }) => {
      const { events } = await context.client.call<{ events: AlertEvent[] }>(
        'GET',
        `/v1/alerts?limit=${encodeURIComponent(options.last)}`,
      )
      if (options.output === 'json') return context.out(events.map((event) => JSON.stringify(event)).join('\n'))
      if (events.length === 0) return context.talk('No alert has fired yet.')
      context.out(
        table(
          ['AGE', 'SEVERITY', 'ALERT', 'DESCRIPTION'],
          events.map((e) => [age(e.time, context.now()), String(e.severity), e.name, e.description]),
        ),
      )
    })
  program
    .command('inbox')
    .description('show the messages that were sent, newest first')
    .option('--last <n>', 'how many', '50')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async (options: { last: string; output: string }) => {
      const { messages } = await context.client.call<{ messages: Message[] }>(
        'GET',
        `/v1/inbox?limit=${encodeURIComponent(options.last)}`,
      )
      if (options.output === 'json') return context.out(messages.map((message) => JSON.stringify(message)).join('\n'))
      if (messages.length === 0) return context.talk('No message has been sent yet.')
      context.out(
        table(
          ['AGE', 'RECEIVER', 'STATE', 'SUBJECT'],
          messages.map((m) => [age(m.time, context.now()), m.receiver, m.state, m.subject]),
        ),
      )
    })
}
