import { boolean, type EventOf, json, keyword, keywords, text, time } from './column.ts'
import { common, defineEvent } from './event.ts'

/** One file of a report, to be downloaded. */
export interface ReportFile {
  name: string
  content_type: string
  /** Lower-case hexadecimal digest of the content. */
  sha256: string
  bytes: number
  content: string
}

/** One generated compliance report with its files (spec 3.6). */
export const report = defineEvent({
  kind: 'report',
  version: 1,
  table: 'reports',
  dataSet: 'reports',
  timeColumn: 'generated_time',
  retentionDays: 91,
  orderBy: ['cluster', 'name', 'generated_time'],
  doc: 'compliance reports with their files and the data they were made of',
  columns: {
    ...common,
    id: text('identity of the report'),
    name: keyword('name of the GlobalReport'),
    report_type: keyword('name of the GlobalReportType'),
    start_time: time('start of the interval reported on'),
    end_time: time('end of the interval reported on'),
    generated_time: time('when the report was made'),
    complete: boolean('false when evidence was missing'),
    incomplete_reasons: keywords('what evidence was missing'),
    summary: json('the figures shown in a list of reports'),
    files: json('the files: name, content_type, sha256, bytes and content of each'),
    document: json('the report data document'),
  },
})

/** A report that was made, or failed. */
export type ReportEvent = EventOf<typeof report.columns>
