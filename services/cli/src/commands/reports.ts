import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { age, table } from '../print/table.ts'

interface Report {
  id: string
  name: string
  report_type: string
  start_time: string
  end_time: string
  generated_time?: string
  files?: { name: string; bytes?: number; sha256?: string }[]
}

/** Adds `reports list|run|get|download`. */
export function addReportCommands(program: Command, context: Context): void {
  const reports = program.command('reports').description('compliance reports: list, run now, download')
  reports
    .command('list', { isDefault: true })
    .description('list generated reports, newest first')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async (options: { output: string }) => {
      const { reports: list } = await context.client.call<{ reports: Report[] }>('GET', '/v1/reports')
      if (options.output === 'json') return context.out(list.map((report) => JSON.stringify(report)).join('\n'))
      if (list.length === 0) return context.talk('No report has been made yet: `margay reports run NAME` makes one.')
      context.out(
        table(
          ['ID', 'NAME', 'TYPE', 'START', 'END', 'AGE'],
          list.map((r) => [
            r.id,
            r.name,
            r.report_type,
            r.start_time,
            r.end_time,
            age(r.generated_time ?? r.end_time, context.now()),
          ]),
        ),
      )
    })
  reports
    .command('run <name>')
    .description('make a report of a GlobalReport now')
    .option('--start <time>', 'start of the interval (RFC 3339 or now-24h)', 'now-24h')
    .option('--end <time>', 'end of the interval', 'now')
    .action(async (name: string, options: { start: string; end: string }) => {
      const { id } = await context.client.call<{ id: string }>(
        'POST',
        `/v1/reports/${encodeURIComponent(name)}/run`,
        options,
      )
      context.out(id)
    })
  reports
    .command('get <id>')
    .description('show one report as JSON')
    .action(async (id: string) =>
      context.out(JSON.stringify(await context.client.call('GET', `/v1/reports/${encodeURIComponent(id)}`), null, 2)),
    )
  reports
    .command('download <id> [files...]')
    .description('save files of a report; all of them when none is named')
    .option('-d, --directory <folder>', 'where to save', '.')
    .action(async (id: string, files: string[], options: { directory: string }) => {
      const report = await context.client.call<Report>('GET', `/v1/reports/${encodeURIComponent(id)}`)
      for (const file of files.length > 0 ? files : (report.files ?? []).map((f) => f.name)) {
        const response = await context.client.open(
          'GET',
          `/v1/reports/${encodeURIComponent(id)}/files/${encodeURIComponent(file)}`,
          { accept: '*/*' },
        )
        const path = join(options.directory, `${report.name}-${file}`)
        writeFileSync(path, Buffer.from(await response.arrayBuffer()))
        context.out(path)
      }
    })
}
