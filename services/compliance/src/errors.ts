/** Codes of the compliance service, with when each is raised. */
export const errors = {
  REPORT_EVIDENCE_LATE: 'the store has not written the audit events of the interval within the wait; try again',
  REPORT_EVIDENCE_TOO_LARGE: 'the interval holds more audit events than one report may; take a shorter one',
  REPORT_FAILED: 'making a report failed for a reason that has no code of its own; the message says which',
  REPORT_INTERVAL_INVALID: 'the interval of a report does not end after its start, or ends in the future',
  REPORT_TYPE_UNSUPPORTED: 'a report is of a type that this version does not make',
  REPORT_UNKNOWN: 'no GlobalReport and no built-in report type has the name',
} as const
