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

/** The values of one field of a schedule, or what is wrong with it. */
function valuesOf(text: string, { name, first, last, words }: Field): Set<number> | string {
  const values = new Set<number>()
  const number = (word: string): number => {
    if (/^\d+$/.test(word)) return Number(word)
    const index = words?.indexOf(word.toLowerCase()) ?? -1
    return index < 0 ? Number.NaN : index + first
  }
  for (const item of text.split(',')) {
    const match = /^(\*|[A-Za-z0-9]+)(?:-([A-Za-z0-9]+))?(?:\/(\d+))?$/.exec(item)
    if (match === null) return `${name} ${JSON.stringify(item)} cannot be read`
    const [, from = '*', to, step] = match
    const low = from === '*' ? first : number(from)
    const high = to !== undefined ? number(to) : from === '*' || step !== undefined ? last : low
    const stride = step === undefined ? 1 : Number(step)
    if (!(low >= first && high <= last && low <= high && stride >= 1) || (from === '*' && to !== undefined)) {
      return `${name} ${JSON.stringify(item)} must lie in ${first}-${last}`
    }
    for (let value = low; value <= high; value += stride) values.add(value)
  }
  return values
}

/** Reads a cron schedule of five fields; gives its minutes of an hour, or what is wrong with it. */
export function readSchedule(text: string): { readonly minutes: ReadonlySet<number> } | { readonly problem: string } {
  const parts = text.trim().split(/\s+/)
  if (parts.length !== fields.length)
    return { problem: 'must have five fields: minute hour day-of-month month day-of-week' }
  const read = fields.map((field, index) => valuesOf(parts[index] as string, field))
  const problem = read.find((values) => typeof values === 'string')
  return problem === undefined ? { minutes: read[0] as Set<number> } : { problem }
}
