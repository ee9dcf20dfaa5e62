import { type Static, Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { formatted, optional, status } from '../schema.ts'

const spec = Type.Object({
  nets: optional(Type.Array(formatted('net'), { uniqueItems: true })),
  allowedEgressDomains: optional(Type.Array(formatted('domain'))),
})

export type NetworkSetSpec = Static<typeof spec>

const namespaceLabelIsDerived: Check = (resource, report) => {
  if (resource.metadata.labels?.['projectcalico.org/namespace'] !== undefined) {
    report.error(
      ['metadata', 'labels', 'projectcalico.org/namespace'],
      'reserved-label',
      'label projectcalico.org/namespace is set by the system',
    )
  }
}

const members = Type.Object({ spec: optional(spec), status: status() })

export const networkSet = defineKind({
  kind: 'NetworkSet',
  plural: 'networksets',
  shortNames: ['netset', 'netsets'],
  apiVersions: calico,
  namespaced: true,
  members,
  checks: [namespaceLabelIsDerived],
})

export const globalNetworkSet = defineKind({
  kind: 'GlobalNetworkSet',
  plural: 'globalnetworksets',
  shortNames: ['gns'],
  apiVersions: calico,
  namespaced: false,
  members,
  checks: [namespaceLabelIsDerived],
})
