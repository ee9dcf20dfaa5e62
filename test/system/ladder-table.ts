import { readFileSync } from 'node:fs'

/** How a connection ends: allowed, allowed but staged to be denied, denied where it leaves, or denied where it arrives. */
export type Outcome = 'allow' | 'staged deny' | 'deny at source' | 'deny at destination'

/** One connection of the policy ladder. */
export interface LadderProbe {
  /** `namespace/workload`. */
  readonly source: string
  readonly destination: string
  /** By stage, from 0 to 10. */
  readonly outcomes: readonly Outcome[]
}

/** Stages of the ladder. */
export const stages = 11

const outcomes: Readonly<Record<string, Outcome>> = {
  '.': 'allow',
  s: 'staged deny',
  e: 'deny at source',
  i: 'deny at destination',
}

/** The table of who reaches whom at each stage (fixtures/ladder/table.txt). */
export const ladder: readonly LadderProbe[] = readFileSync(
  new URL('../fixtures/ladder/table.txt', import.meta.url),
  'utf8',
)
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [source = '', destination = '', ...cells] = line.split(/\s+/)
    const read = cells.map((cell) => outcomes[cell])
    if (read.length !== stages || read.includes(undefined)) throw new Error(`not a row of ${stages} stages: ${line}`)
    return { source, destination, outcomes: read as Outcome[] }
  })
