import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configReference, environmentExample } from './config.ts'
import { conformanceReference } from './conformance.ts'
import { errorReference } from './errors.ts'
import { eventReference } from './events.ts'
import { lintReference } from './lint.ts'

/** Generated references, by path from the root. */
export const references: Readonly<Record<string, () => string>> = {
  'services/kit/CONFIG.md': configReference,
  '.env.example': environmentExample,
  'schemas/EVENTS.md': eventReference,
  'schemas/test/conformance/README.md': conformanceReference,
  'schemas/LINT.md': lintReference,
  'services/ERRORS.md': errorReference,
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, generate] of Object.entries(references))
    writeFileSync(new URL(`../../${path}`, import.meta.url), generate())
}
