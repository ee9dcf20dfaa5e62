import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startApi } from '../../../test/harness/api.ts'

/** Where the description of the HTTP API is kept. */
export const openApiFile = new URL('../../../schemas/openapi.json', import.meta.url)

/** The description of the HTTP API, as the running API gives it at /openapi.json. */
export async function openApiText(): Promise<string> {
  const api = await startApi()
  try {
    return `${JSON.stringify((await api.app.inject('/openapi.json')).json(), null, 2)}\n`
  } finally {
    await api.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(openApiFile, await openApiText())
