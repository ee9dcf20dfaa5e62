import { type Static, Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { protocolNumber } from '../protocol.ts'
import type { Resource } from '../resource.ts'
import { formatted, oneOf, optional, selector, status } from '../schema.ts'

const duration = () => optional(formatted('duration'))
const flag = () => optional(Type.Boolean())
const text = () => optional(Type.String())
const count = (least = 0) => optional(Type.Integer({ minimum: least }))
const level = (most: number) => optional(Type.Integer({ minimum: 0, maximum: most }))
const include = (name: string) => optional(oneOf([`Include${name}`, `Exclude${name}`]))
const port = () => Type.Integer({ minimum: 0, maximum: 65535 })
const failsafes = () => optional(Type.Array(Type.Object({ protocol: text(), port: port(), net: text() })))

/** The settings that Margay reads or accepts; the many others of the data plane are let through unread. */
const spec = Type.Object(
  {
    nodeSelector: optional(selector()),
    flowLogsFlushInterval: duration(),
    flowLogsFileEnabled: flag(),
    flowLogsFileEnabledForAllowed: flag(),
    flowLogsFileEnabledForDenied: flag(),
    flowLogsFileAggregationKindForAllowed: level(2),
    flowLogsFileAggregationKindForDenied: level(3),
    flowLogsFileIncludeLabels: flag(),
    flowLogsFileIncludePolicies: flag(),
    flowLogsFileIncludeService: flag(),
    flowLogsFileDirectory: text(),
    flowLogsFileMaxFiles: count(1),
    flowLogsFileMaxFileSizeMB: count(1),
    flowLogsFileDomainsLimit: count(),
    flowLogsFileNatOutgoingPortLimit: count(),
    flowLogsFilePerFlowProcessLimit: count(),
    flowLogsFilePerFlowProcessArgsLimit: count(),
    flowLogsCollectProcessInfo: flag(),
    flowLogsCollectProcessPath: flag(),
    flowLogsCollectTcpStats: flag(),
    flowLogsEnableHostEndpoint: flag(),
    flowLogsEnableNetworkSets: flag(),
    flowLogsDestDomainsByClient: flag(),
    flowLogsDynamicAggregationEnabled: flag(),
    flowLogsAggregationThresholdBytes: count(),
    flowLogsPositionFilePath: text(),
    flowLogsMaxOriginalIPsIncluded: count(),
    flowLogsPolicyEvaluationMode: optional(oneOf(['Continuous', 'OnNewConnection', 'None'])),
    flowLogsPolicyScope: optional(oneOf(['EndpointPolicies', 'AllPolicies'])),
    flowLogsLocalReporter: optional(oneOf(['Enabled', 'Disabled'])),
    flowLogsGoldmaneServer: text(),
    flowLogsCollectorDebugTrace: flag(),
    xdpEnabled: flag(),
    genericXDPEnabled: flag(),
    dnsLogsFileEnabled: flag(),
    dnsLogsFlushInterval: duration(),
    dnsLogsFileAggregationKind: level(1),
    dnsLogsFileIncludeLabels: flag(),
    dnsLogsLatency: flag(),
    dnsLogsFilePerNodeLimit: count(),
    dnsLogsFileDirectory: text(),
    dnsLogsFileMaxFiles: count(1),
    dnsLogsFileMaxFileSizeMB: count(1),
    dnsTrustedServers: optional(Type.Array(Type.String({ minLength: 1 }))),
    dnsExtraTTL: duration(),
    dnsCacheFile: text(),
    dnsCacheSaveInterval: duration(),
    dnsCacheEpoch: count(),
    dnsPolicyMode: optional(oneOf(['NoDelay', 'DelayDeniedPacket', 'DelayDNSResponse', 'Inline'])),
    nftablesDNSPolicyMode: optional(oneOf(['NoDelay', 'DelayDeniedPacket', 'DelayDNSResponse'])),
    bpfDNSPolicyMode: optional(oneOf(['NoDelay', 'Inline'])),
    dnsPolicyNfqueueID: optional(port()),
    dnsPolicyNfqueueSize: count(),
    dnsPacketsNfqueueID: optional(port()),
    dnsPacketsNfqueueSize: count(1),
    dnsPacketsNfqueueMaxHoldDuration: duration(),
    l7ObservabilityEnabled: flag(),
    l7LogsFileEnabled: flag(),
    l7LogsFlushInterval: duration(),
    l7LogsFilePerNodeLimit: count(),
    l7LogsFileDirectory: text(),
    l7LogsFileMaxFiles: count(1),
    l7LogsFileMaxFileSizeMB: count(1),
    l7LogsFileAggregationHTTPHeaderInfo: include('L7HTTPHeaderInfo'),
    l7LogsFileAggregationHTTPMethod: include('L7HTTPMethod'),
    l7LogsFileAggregationServiceInfo: include('L7ServiceInfo'),
    l7LogsFileAggregationDestinationInfo: include('L7DestinationInfo'),
    l7LogsFileAggregationSourceInfo: optional(
      oneOf(['IncludeL7SourceInfo', 'IncludeL7SourceInfoNoPort', 'ExcludeL7SourceInfo']),
    ),
    l7LogsFileAggregationResponseCode: include('L7ResponseCode'),
    l7LogsFileAggregationTrimURL: optional(
      oneOf(['IncludeL7FullURL', 'TrimURLQuery', 'TrimURLQueryAndPath', 'ExcludeL7URL']),
    ),
    l7LogsFileAggregationNumURLPath: optional(Type.Integer()),
    l7LogsFileAggregationURLCharLimit: count(),
    failsafeInboundHostPorts: failsafes(),
    failsafeOutboundHostPorts: failsafes(),
    defaultEndpointToHostAction: optional(oneOf(['Drop', 'Return', 'Accept'])),
    dropActionOverride: optional(oneOf(['Drop', 'Accept', 'LogAndDrop', 'LogAndAccept'])),
    nftablesFilterDenyAction: optional(oneOf(['Drop', 'Reject'])),
    iptablesFilterDenyAction: optional(oneOf(['Drop', 'Reject'])),
    disableConntrackInvalidCheck: flag(),
    logPrefix: text(),
    logActionRateLimit: text(),
    logActionRateLimitBurst: count(1),
    allowVXLANPacketsFromWorkloads: flag(),
    allowIPIPPacketsFromWorkloads: flag(),
    vxlanPort: optional(port()),
    captureDir: text(),
    captureMaxSizeBytes: count(1),
    captureRotationSeconds: count(1),
    captureMaxFiles: count(1),
    prometheusReporterEnabled: flag(),
    prometheusReporterPort: optional(port()),
    prometheusMetricsEnabled: flag(),
    prometheusMetricsPort: optional(port()),
    deletedMetricsRetentionSecs: count(),
    policySyncPathPrefix: text(),
    tproxyMode: text(),
  },
  { additionalProperties: true, nearMisses: true },
)

export type FelixConfigurationSpec = Static<typeof spec>

const specOf = (resource: Resource): FelixConfigurationSpec => (resource.spec ?? {}) as FelixConfigurationSpec

const selectorHasItsPlace: Check = (resource, report) => {
  const { name } = resource.metadata
  if (specOf(resource).nodeSelector !== undefined && (name === 'default' || name.startsWith('node.'))) {
    report.error(['spec', 'nodeSelector'], 'node-selector', `nodeSelector is not possible on ${name}`)
  }
}

const failsafesHold: Check = (resource, report) => {
  for (const list of ['failsafeInboundHostPorts', 'failsafeOutboundHostPorts'] as const) {
    for (const [index, { protocol = 'tcp' }] of (specOf(resource)[list] ?? []).entries()) {
      if (protocolNumber(protocol) === null) {
        report.error(['spec', list, index, 'protocol'], 'one-of', `${protocol} is not a protocol; use tcp, udp or sctp`)
      }
    }
  }
}

/** `<packets>/<unit>`, as in `10/second`. */
const rateLimit = /^[1-9]\d{0,5}\/(second|minute|hour|day)$/

const rateHolds: Check = (resource, report) => {
  const { logActionRateLimit: rate } = specOf(resource)
  if (rate !== undefined && !rateLimit.test(rate))
    report.error(
      ['spec', 'logActionRateLimit'],
      'rate',
      `${rate} is no rate; write a number and second, minute, hour or day, as in 10/second`,
    )
}

/** `<ip>[:port]`, `[v6]:port` or `k8s-service:[namespace/]name[:port]`. */
const trustedServer =
  /^(k8s-service:([a-z0-9-]+\/)?[a-z0-9-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?|\d+\.\d+\.\d+\.\d+(:\d{1,5})?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/

const serversHold: Check = (resource, report) => {
  for (const [index, server] of (specOf(resource).dnsTrustedServers ?? []).entries()) {
    if (!trustedServer.test(server)) {
      report.error(
        ['spec', 'dnsTrustedServers', index],
        'dns-server',
        `${server} is neither an address with a port nor k8s-service:namespace/name:port`,
      )
    }
  }
}

export const felixConfiguration = defineKind({
  kind: 'FelixConfiguration',
  plural: 'felixconfigurations',
  shortNames: ['felixconfig', 'felixconfigs'],
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(spec), status: status() }),
  checks: [selectorHasItsPlace, failsafesHold, rateHolds, serversHold],
})
