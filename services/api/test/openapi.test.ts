import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { openApiFile, openApiText } from './openapi.ts'

interface Operation {
  operationId?: string
  summary?: string
  responses: Record<string, { content?: Record<string, { schema: { $ref?: string } }> }>
}

const text = await openApiText()
const document = JSON.parse(text) as {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown> }
}
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))

it('is what schemas/openapi.json says (npx tsx --conditions=source services/api/test/openapi.ts writes it)', () => {
  expect(readFileSync(openApiFile, 'utf8')).toBe(text)
})

it('is OpenAPI 3.1 with a name and a summary for every operation, and problems as its errors', () => {
  expect(document.openapi).toBe('3.1.0')
  const ids = operations.map(({ operationId }) => operationId)
  expect(ids).not.toContain(undefined)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { operationId, summary, responses } of operations) {
    expect(summary, operationId).toBeTruthy()
    for (const [status, { content }] of Object.entries(responses)) {
      if (status.startsWith('2')) continue
      expect(content?.['application/problem+json']?.schema.$ref, `${operationId} ${status}`).toBe(
        '#/components/schemas/ProblemDocument',
      )
    }
  }
})

it('refers only to shapes that it holds', () => {
  const references = [...text.matchAll(/"\$ref": "#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name as string)
  for (const name of references) expect(document.components.schemas).toHaveProperty(name)
})
