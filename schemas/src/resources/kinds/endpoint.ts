import { type Static, Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { checkRule } from '../policy-rules.ts'
import { rule } from '../policy-spec.ts'
import type { Resource } from '../resource.ts'
import { formatted, oneOf, optional, port, protocol, status, stringMap } from '../schema.ts'

const number = () => Type.Integer({ minimum: 1, maximum: 65535 })
const ips = () => optional(Type.Array(formatted('ip'), { uniqueItems: true }))

const hostEndpointSpec = Type.Object({
  node: Type.String({ minLength: 1, maxLength: 253 }),
  interfaceName: optional(Type.String({ pattern: '^(\\*|[A-Za-z0-9_.-]{0,15})$' })),
  expectedIPs: ips(),
  profiles: optional(Type.Array(Type.String())),
  ports: optional(
    Type.Array(Type.Object({ name: Type.String({ minLength: 1 }), protocol: protocol(), port: number() })),
  ),
})
export type HostEndpointSpec = Static<typeof hostEndpointSpec>

const specOf = (resource: Resource): HostEndpointSpec => resource.spec as HostEndpointSpec

const canBeFound: Check = (resource, report) => {
  const { interfaceName, expectedIPs } = specOf(resource)
  if ((interfaceName ?? '') === '' && (expectedIPs ?? []).length === 0) {
    report.error(['spec'], 'interface-or-ips', 'a host endpoint needs interfaceName or expectedIPs')
  }
  if (interfaceName?.startsWith('cali')) {
    report.error(['spec', 'interfaceName'], 'workload-interface', `interface ${interfaceName} belongs to a workload`)
  }
}

const portsAreDistinct: Check = (resource, report) => {
  const seen = new Set<string>()
  for (const [index, { name, protocol: given }] of (specOf(resource).ports ?? []).entries()) {
    if (seen.has(name)) report.error(['spec', 'ports', index, 'name'], 'unique', `port name ${name} is used twice`)
    seen.add(name)
    if (given !== 'TCP' && given !== 'UDP' && given !== 'SCTP') {
      report.error(['spec', 'ports', index, 'protocol'], 'one-of', 'must be one of TCP, UDP, SCTP')
    }
  }
}

export const hostEndpoint = defineKind({
  kind: 'HostEndpoint',
  plural: 'hostendpoints',
  shortNames: ['hep', 'heps'],
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: hostEndpointSpec, status: status() }),
  checks: [canBeFound, portsAreDistinct],
})

const workloadEndpointSpec = Type.Object({
  node: optional(Type.String()),
  orchestrator: optional(Type.String()),
  workload: optional(Type.String()),
  pod: optional(Type.String()),
  endpoint: optional(Type.String()),
  containerID: optional(Type.String()),
  interfaceName: optional(Type.String()),
  mac: optional(Type.String()),
  serviceAccountName: optional(Type.String()),
  ipNetworks: optional(Type.Array(formatted('net'))),
  ipNATs: optional(Type.Array(Type.Object({ internalIP: formatted('ip'), externalIP: formatted('ip') }))),
  ipv4Gateway: optional(Type.String()),
  ipv6Gateway: optional(Type.String()),
  profiles: optional(Type.Array(Type.String())),
  allowSpoofedSourcePrefixes: optional(Type.Array(formatted('net'))),
  ports: optional(
    Type.Array(
      Type.Object({
        name: optional(Type.String()),
        protocol: protocol(),
        port: number(),
        hostPort: optional(Type.Integer()),
        hostIP: optional(Type.String()),
      }),
    ),
  ),
})
export type WorkloadEndpointSpec = Static<typeof workloadEndpointSpec>

export const workloadEndpoint = defineKind({
  kind: 'WorkloadEndpoint',
  plural: 'workloadendpoints',
  shortNames: ['wep', 'weps'],
  apiVersions: calico,
  namespaced: true,
  members: Type.Object({ spec: workloadEndpointSpec, status: status() }),
})

const profileSpec = Type.Object({
  labelsToApply: optional(stringMap()),
  ingress: optional(Type.Array(rule)),
  egress: optional(Type.Array(rule)),
})
export type ProfileSpec = Static<typeof profileSpec>

const profileRulesHold: Check = (resource, report) => {
  const spec = (resource.spec ?? {}) as ProfileSpec
  for (const direction of ['ingress', 'egress'] as const) {
    for (const [index, given] of (spec[direction] ?? []).entries())
      checkRule(given, ['spec', direction, index], report, { direction, global: true })
  }
}

export const profile = defineKind({
  kind: 'Profile',
  plural: 'profiles',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(profileSpec), status: status() }),
  checks: [profileRulesHold],
})

/** What Margay reads of a Pod. */
const containers = () =>
  optional(
    Type.Array(
      Type.Object(
        {
          name: optional(Type.String()),
          ports: optional(
            Type.Array(
              Type.Object(
                {
                  name: optional(Type.String()),
                  containerPort: number(),
                  protocol: optional(oneOf(['TCP', 'UDP', 'SCTP'])),
                },
                { additionalProperties: true },
              ),
            ),
          ),
        },
        { additionalProperties: true },
      ),
    ),
  )
const podSpec = Type.Object(
  {
    nodeName: optional(Type.String()),
    hostNetwork: optional(Type.Boolean()),
    serviceAccountName: optional(Type.String()),
    serviceAccount: optional(Type.String()),
    containers: containers(),
    initContainers: containers(),
  },
  { additionalProperties: true },
)
const podStatus = Type.Object(
  {
    phase: optional(Type.String()),
    podIP: optional(Type.String()),
    podIPs: optional(Type.Array(Type.Object({ ip: optional(Type.String()) }, { additionalProperties: true }))),
  },
  { additionalProperties: true },
)
export type PodSpec = Static<typeof podSpec>
export type PodStatus = Static<typeof podStatus>

export const pod = defineKind({
  kind: 'Pod',
  plural: 'pods',
  shortNames: ['po'],
  apiVersions: ['v1'],
  namespaced: true,
  members: Type.Object({ spec: optional(podSpec), status: optional(podStatus) }),
})

const serviceSpec = Type.Object(
  {
    type: optional(oneOf(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'])),
    clusterIP: optional(Type.String()),
    clusterIPs: optional(Type.Array(Type.String())),
    externalIPs: optional(Type.Array(formatted('ip'))),
    selector: optional(stringMap()),
    ports: optional(
      Type.Array(
        Type.Object(
          {
            name: optional(Type.String()),
            protocol: optional(oneOf(['TCP', 'UDP', 'SCTP'])),
            port: number(),
            targetPort: optional(port()),
            nodePort: optional(Type.Integer({ minimum: 0, maximum: 65535 })),
          },
          { additionalProperties: true },
        ),
      ),
    ),
  },
  { additionalProperties: true },
)
export type ServiceSpec = Static<typeof serviceSpec>

export const service = defineKind({
  kind: 'Service',
  plural: 'services',
  shortNames: ['svc'],
  apiVersions: ['v1'],
  namespaced: true,
  members: Type.Object({ spec: optional(serviceSpec), status: status() }),
})
