import { Type } from 'typebox'
import { createReport } from '../resources/finding.ts'
import { printPath } from '../resources/path.ts'
import { formatted, optional, stringMap } from '../resources/schema.ts'
import { checkStructure } from '../resources/structure.ts'
import type { Probe } from './probe.ts'
import { type Given, VectorError } from './request.ts'

const text = () => optional(Type.String({ minLength: 1 }))
const place = Type.Object({
  pod: text(),
  endpoint: text(),
  host: text(),
  ip: optional(formatted('ip')),
  service: text(),
  domain: optional(formatted('domain')),
})
const byte = () => Type.Integer({ minimum: 0, maximum: 255 })
const portNumber = () => Type.Integer({ minimum: 0, maximum: 65535 })

const shape = Type.Object({
  source: place,
  destination: place,
  protocol: optional(Type.Union([Type.Integer({ minimum: 1, maximum: 255 }), Type.String()])),
  port: optional(Type.Union([portNumber(), Type.String({ minLength: 1 })])),
  sourcePort: optional(portNumber()),
  icmp: optional(Type.Object({ type: byte(), code: optional(byte()) })),
  http: optional(Type.Object({ method: Type.String(), path: Type.String(), headers: optional(stringMap()) })),
  interfaces: optional(Type.Object({ out: text(), in: text() })),
  ipVersion: optional(Type.Union([Type.Literal(4), Type.Literal(6)])),
})

/** Reads the probe of a vector; members that are null count as absent, others that are not known are passed over. Throws VectorError. */
export function readProbe(given: Given): Probe {
  const report = createReport()
  checkStructure(shape, given, ['probe'], report)
  const error = report.findings.find(({ severity }) => severity === 'error')
  if (error !== undefined) throw new VectorError(`${printPath(error.at)}: ${error.message}`)
  return withoutNulls(given) as Probe & Given
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => (member === null ? [] : [[name, withoutNulls(member)]])),
  )
}
