import type { Reporter } from '@margay/kit/reporter'
import type { Programmed } from '../dataplane/dataplane.ts'

/** What is counted about programming. */
export interface ProgrammerMetrics {
  readonly seconds: { startTimer(): () => void }
  programmed(result: Programmed): void
  failed(): void
  drifted(): void
}

/** Makes the metrics of a programmer. */
export function createProgrammerMetrics(reporter: Reporter): ProgrammerMetrics {
  const seconds = reporter.histogram(
    'program_seconds',
    'time to bring the data plane to the newest policy',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )
  const drifts = reporter.counter('drifts_total', 'parts of the data plane written again because they may have changed')
  const programs = reporter.counter('programs_total', 'times the data plane was programmed', ['result'])
  const held = reporter.gauge('dataplane_objects', 'what the data plane holds', ['kind'])
  const refused = reporter.gauge('policies_refused', 'policies that the data plane does not take')
  return {
    seconds,
    programmed({ changed, size, refused: policies }) {
      programs.inc({ result: changed ? 'changed' : 'unchanged' })
      for (const kind of ['chains', 'rules', 'sets', 'elements'] as const) held.set({ kind }, size[kind])
      refused.set(policies.size)
    },
    failed: () => programs.inc({ result: 'failed' }),
    drifted: () => drifts.inc(),
  }
}
