import { type Static, Type } from 'typebox'
import { formatted, oneOf, optional, port, protocol, selector, stringMap } from './schema.ts'

/** The shapes of Calico policy (spec 5.2, 5.3), as users write them. */
const icmp = Type.Object({
  type: optional(Type.Integer({ minimum: 0, maximum: 254 })),
  code: optional(Type.Integer({ minimum: 0, maximum: 255 })),
})

const nets = () => optional(Type.Array(formatted('cidr'), { maxItems: 256, uniqueItems: true }))
const ports = () => optional(Type.Array(port(), { maxItems: 50 }))

const entityRule = Type.Object({
  nets: nets(),
  notNets: nets(),
  selector: optional(selector()),
  notSelector: optional(selector()),
  namespaceSelector: optional(formatted('namespace-selector', 1024)),
  serviceAccounts: optional(
    Type.Object({ names: optional(Type.Array(Type.String())), selector: optional(selector()) }),
  ),
  services: optional(Type.Object({ name: Type.String({ minLength: 1 }), namespace: optional(Type.String()) })),
  ports: ports(),
  notPorts: ports(),
  domains: optional(Type.Array(formatted('domain'))),
})

const httpMatch = Type.Object({
  methods: optional(Type.Array(Type.String({ minLength: 1 }), { maxItems: 20, uniqueItems: true })),
  paths: optional(
    Type.Array(
      Type.Object({
        exact: optional(Type.String({ maxLength: 1024, pattern: '^/[^?# ]*$' })),
        prefix: optional(Type.String({ maxLength: 1024, pattern: '^/[^?# ]*$' })),
      }),
      { maxItems: 20 },
    ),
  ),
  headers: optional(
    Type.Array(
      Type.Object({
        header: Type.String({ minLength: 1 }),
        operator: oneOf(['Exists', 'DoesNotExist', 'HasPrefix', 'HasSuffix', 'In', 'NotIn', 'MatchesRegex']),
        values: optional(Type.Array(Type.String())),
      }),
    ),
  ),
})

export const rule = Type.Object({
  action: oneOf(['Allow', 'Deny', 'Log', 'Pass']),
  metadata: optional(Type.Object({ annotations: optional(stringMap()) })),
  ipVersion: optional(oneOf([4, 6])),
  protocol: optional(protocol()),
  notProtocol: optional(protocol()),
  icmp: optional(icmp),
  notICMP: optional(icmp),
  source: optional(entityRule),
  destination: optional(entityRule),
  http: optional(httpMatch),
})

const rules = () => optional(Type.Array(rule, { maxItems: 1024 }))

const common = {
  tier: optional(Type.String()),
  order: optional(Type.Number()),
  selector: optional(selector()),
  serviceAccountSelector: optional(selector()),
  types: optional(Type.Array(oneOf(['Ingress', 'Egress']), { minItems: 1, maxItems: 2, uniqueItems: true })),
  ingress: rules(),
  egress: rules(),
  performanceHints: optional(Type.Array(oneOf(['AssumeNeededOnEveryNode']), { uniqueItems: true })),
}

const staged = { stagedAction: optional(oneOf(['Set', 'Delete', 'Learn', 'Ignore'])) }

const global = {
  namespaceSelector: optional(selector()),
  doNotTrack: optional(Type.Boolean()),
  preDNAT: optional(Type.Boolean()),
  applyOnForward: optional(Type.Boolean()),
}

export const networkPolicySpec = Type.Object(common)
export const globalNetworkPolicySpec = Type.Object({ ...common, ...global })
export const stagedNetworkPolicySpec = Type.Object({ ...common, ...staged })
export const stagedGlobalNetworkPolicySpec = Type.Object({ ...common, ...global, ...staged })

export type EntityRuleSpec = Static<typeof entityRule>
export type RuleSpec = Static<typeof rule>
/** What the four kinds may hold between them: what the compiler reads. */
export type PolicySpec = Static<typeof stagedGlobalNetworkPolicySpec>
