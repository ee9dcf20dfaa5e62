import { readCron } from '../../resources/cron.ts'
import type { GlobalReportSpec } from '../../resources/kinds/report.ts'
import type { LintRule } from '../finding.ts'

const mostAnHour = 2

/** Reports more often than the resource allows. */
export const reportSchedule: LintRule = {
  id: 'report-schedule',
  severity: 'warning',
  title: 'a report that is made more than twice an hour',
  why: 'The end of one report is the beginning of the next, and a GlobalReport allows two minutes in its schedule at most. Other products refuse this schedule, and each report covers little.',
  remedy: 'Write at most two minutes: */30, or 0,30.',
  check({ resources }, report) {
    for (const subject of resources) {
      if (subject.resource.kind !== 'GlobalReport') continue
      const { schedule } = (subject.resource.spec ?? {}) as GlobalReportSpec
      const read = schedule === undefined ? null : readCron(schedule)
      if (read === null || 'problem' in read || read.cron.minutes.length <= mostAnHour) continue
      report(subject, ['spec', 'schedule'], `schedule ${schedule} makes ${read.cron.minutes.length} reports an hour`)
    }
  },
}
