import { type Static, Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { portProblem, readPort } from '../port.ts'
import { hasPorts, protocolNumber } from '../protocol.ts'
import type { Resource } from '../resource.ts'
import { formatted, optional, port, protocol, selector, status } from '../schema.ts'
import { endsBeforeItStarts } from './alert.ts'

const spec = Type.Object({
  selector: optional(selector()),
  filters: optional(Type.Array(Type.Object({ protocol: optional(protocol()), ports: optional(Type.Array(port())) }))),
  startTime: optional(formatted('date-time')),
  endTime: optional(formatted('date-time')),
})

export type PacketCaptureSpec = Static<typeof spec>

const specOf = (resource: Resource): PacketCaptureSpec => (resource.spec ?? {}) as PacketCaptureSpec

const timesAscend: Check = (resource, report) => {
  const { startTime, endTime } = specOf(resource)
  if (endsBeforeItStarts(startTime, endTime)) {
    report.error(['spec', 'endTime'], 'end-before-start', 'endTime must be after startTime')
  }
}

const portsHold: Check = (resource, report) => {
  for (const [index, filter] of (specOf(resource).filters ?? []).entries()) {
    const number = filter.protocol === undefined ? null : protocolNumber(filter.protocol)
    for (const [i, given] of (filter.ports ?? []).entries()) {
      const at = ['spec', 'filters', index, 'ports', i]
      const problem = readPort(given).kind === 'name' ? 'a capture knows no named ports' : portProblem(given)
      if (problem !== null) report.error(at, 'port', problem)
      else if (number !== null && !hasPorts(number)) {
        report.error(at, 'port-needs-protocol', `protocol ${filter.protocol} has no ports`)
      }
    }
  }
}

export const packetCapture = defineKind({
  kind: 'PacketCapture',
  plural: 'packetcaptures',
  shortNames: ['pcap'],
  apiVersions: calico,
  namespaced: true,
  members: Type.Object({ spec: optional(spec), status: status() }),
  checks: [timesAscend, portsHold],
})
