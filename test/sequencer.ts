import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes, mostly waiting: they go first, so that the rest runs beside them. */
const long = [/system\/ladder-/, /system\//, /kit\/test\/log\//, /console\//]

const rank = (file: TestSpecification) => {
  const found = long.findIndex((pattern) => pattern.test(file.moduleId))
  return found < 0 ? long.length : found
}

/** Starts the longest files first; no test may depend on the order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return [...files].sort((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId))
  }
}
