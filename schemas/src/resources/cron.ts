/** A time table in five fields, as in every Unix: the values that each field allows, in UTC. */
export interface Cron {
  readonly text: string
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly daysOfMonth: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** 0 is Sunday. */
  readonly daysOfWeek: ReadonlySet<number>
  /** Days are those of the month OR of the week when both are restricted, as in Kubernetes and every Unix. */
  readonly isEitherDay: boolean
}

interface Field {
  readonly name: string
  readonly first: number
  readonly last: number
  readonly words?: readonly string[]
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const fields: readonly Field[] = [
  { name: 'minute', first: 0, last: 59 },
  { name: 'hour', first: 0, last: 23 },
  { name: 'day of month', first: 1, last: 31 },
  { name: 'month', first: 1, last: 12, words: months },
  { name: 'day of week', first: 0, last: 7, words: days },
]

/** Reads a cron schedule of five fields, or says what is wrong with it. */
export function readCron(text: string): { readonly cron: Cron } | { readonly problem: string } {
  const parts = text.trim().split(/\s+/)
  if (parts.length !== fields.length)
    return { problem: 'must have five fields: minute hour day-of-month month day-of-week' }
  const read = fields.map((field, index) => valuesOf(parts[index] as string, field))
  const problem = read.find((values) => typeof values === 'string')
  if (problem !== undefined) return { problem }
  const [minutes, hours, daysOfMonth, monthsOfYear, daysOfWeek] = read as number[][] as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ]
  return {
    cron: {
      text,
      minutes,
      hours,
      daysOfMonth: new Set(daysOfMonth),
      months: new Set(monthsOfYear),
      daysOfWeek: new Set(daysOfWeek.map((day) => day % 7)),
      isEitherDay: !isOpen(parts[2] as string) && !isOpen(parts[4] as string),
    },
  }
}

/** As in Kubernetes, a step of one or none keeps a star open; star with a larger step restricts the days. */
const isOpen = (field: string) => field.split(',').some((part) => /^\*(\/1)?$/.test(part))

/** The values of one field, ascending, or what is wrong with it. */
function valuesOf(text: string, { name, first, last, words = [] }: Field): number[] | string {
  const values = new Set<number>()
  const read = (word: string): number => {
    const index = words.indexOf(word.toLowerCase())
    return index >= 0 ? index + first : /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN
  }
  for (const item of text.split(',')) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(item)
    if (match === null) return `${name} ${JSON.stringify(item)} is not a value, range or step`
    const [, star, one, other, step] = match
    const from = star === undefined ? read(one as string) : first
    // `5/15` means from 5 to the end by 15, as in every cron that allows it.
    const to = other !== undefined ? read(other) : star !== undefined || step !== undefined ? last : from
    const by = step === undefined ? 1 : Number(step)
    if (!(from >= first && to <= last)) return `${name} ${JSON.stringify(item)} must lie in ${first}-${last}`
    if (from > to) return `${name} ${JSON.stringify(item)} runs backwards`
    if (by < 1) return `the step of ${name} ${JSON.stringify(item)} must be at least 1`
    for (let value = from; value <= to; value += by) values.add(value)
  }
  return [...values].sort((a, b) => a - b)
}
