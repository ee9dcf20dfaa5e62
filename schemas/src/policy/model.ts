/**
 * The compiled form of policy: what the evaluator walks, the renderer programs and evidence cites.
 * Selectors are resolved to address sets, names to identities, order to array position.
 */

/** Labels by key. */
export type Labels = Readonly<Record<string, string>>
/** Which end of a connection policy is about: `ingress` its destination, `egress` its source. */
export type Direction = 'ingress' | 'egress'
/** What a rule does; `pass` goes on with the next tier, `log` with the next rule. */
export type Action = 'allow' | 'deny' | 'pass' | 'log'
/** What policy decides about a connection. */
export type Verdict = 'allow' | 'deny'

/** What policy applies to: the interface of a pod, or of a node. */
export interface Endpoint {
  /** `wep:<namespace>/<name>` or `hep:<name>`. */
  readonly key: string
  readonly kind: 'wep' | 'hep'
  readonly namespace: string | null
  readonly name: string
  /** generateName + `*`, or the name when it has none. */
  readonly nameAggr: string
  readonly node: string
  /** Host-side interface; null when not known. `*` on a host endpoint covers all. */
  readonly interfaceName: string | null
  readonly ips: readonly string[]
  /** Own labels, and those inherited from profiles (spec 14, 2.2). */
  readonly labels: Labels
  /** Own labels only, as flow logs show them. */
  readonly ownLabels: Labels
  readonly profiles: readonly string[]
  readonly ports: readonly { name: string; protocol: number; port: number }[]
}

/** Calico's policies (`np`, `gnp`), Kubernetes' (`knp`, `kcnp`), their staged forms, and profiles. */
export type PolicyKind = 'np' | 'gnp' | 'knp' | 'kcnp' | 'snp' | 'sgnp' | 'sknp' | 'profile'

/** Names a policy. */
export interface PolicyRef {
  readonly kind: PolicyKind
  readonly tier: string
  readonly namespace: string | null
  /** metadata.name as given. */
  readonly name: string
}

/** Ports from first to last. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** Identity of an address set: `s:...` for a selector, `n:...` for a named port, `svc:...` for a service. */
export type SetId = string

/** Addresses that a selector or a list of nets stands for; its members change with the cluster. */
export interface AddressSet {
  readonly id: SetId
  /** `net`: addresses and CIDRs. `ip-port`: `address,protocol number,port`. */
  readonly type: 'net' | 'ip-port'
  readonly members: ReadonlySet<string>
  /** True when an address lies in a member of a `net` set, or `address,protocol number,port` is a member of an `ip-port` set. */
  has(member: string): boolean
}

/** One side of a rule. All that is given must hold; lists are alternatives; `not` forms exclude. */
export interface EntityMatch {
  /** The flat selectors that `sets` and `notSets` stand for, in canonical form; null when endpoints are not restricted. */
  readonly selector: string | null
  readonly notSelector: string | null
  /** All must contain the address. */
  readonly sets: readonly SetId[]
  readonly notSets: readonly SetId[]
  readonly nets: readonly string[]
  readonly notNets: readonly string[]
  /** Numeric ports and named-port sets are alternatives of one list. */
  readonly ports: readonly PortRange[]
  readonly portSets: readonly SetId[]
  readonly notPorts: readonly PortRange[]
  readonly notPortSets: readonly SetId[]
  /** Domain names of an egress rule (programmed from DNS answers). */
  readonly domains: readonly string[]
}

/** What a rule says but for its two ends. */
export interface RuleHead {
  /** Position in the policy's list of this direction, as users count it. */
  readonly index: number
  readonly action: Action
  readonly ipVersion: 4 | 6 | null
  /** IP protocol number. */
  readonly protocol: number | null
  readonly notProtocol: number | null
  readonly icmp: { type: number | null; code: number | null } | null
  readonly notIcmp: { type: number | null; code: number | null } | null
  /** What a request must be like, on Allow rules only; the packets of a connection do not tell, so without a request it holds. */
  readonly http: HttpMatch | null
}

/** Criteria about an HTTP request (spec 5.3.3): methods, paths and headers must all hold; an empty list holds for all. */
export interface HttpMatch {
  /** Alternatives, as written: upper and lower case differ. */
  readonly methods: readonly string[]
  /** Alternatives: the whole path, or its first segments. */
  readonly paths: readonly { readonly type: 'exact' | 'prefix'; readonly path: string }[]
  /** All must hold. */
  readonly headers: readonly HttpHeaderMatch[]
}

/** One criterion about a header; the values are alternatives. */
export interface HttpHeaderMatch {
  /** In lower case. */
  readonly name: string
  readonly operator: 'Exists' | 'DoesNotExist' | 'HasPrefix' | 'HasSuffix' | 'In' | 'NotIn' | 'MatchesRegex'
  readonly values: readonly string[]
}

/** A rule whose ends are resolved to sets of addresses. */
export interface Rule extends RuleHead {
  readonly source: EntityMatch
  readonly destination: EntityMatch
}

/** A policy in its place, its selectors resolved. */
export interface Policy {
  readonly ref: PolicyRef
  /** `kind:namespace/name`, unique; used in maps and rule ids. */
  readonly id: string
  readonly staged: boolean
  readonly order: number
  /** Canonical flat selector over merged labels. */
  readonly selector: string
  readonly directions: readonly Direction[]
  readonly ingress: readonly Rule[]
  readonly egress: readonly Rule[]
  readonly doNotTrack: boolean
  readonly preDnat: boolean
  readonly applyOnForward: boolean
  /**
   * What a staged policy previews: `set` its rules in place of the enforced policy of the same identity, or `delete` that policy
   * (then it governs nothing itself). Absent on enforced policies.
   */
  readonly stagedAction?: 'set' | 'delete'
}

/**
 * Where a policy acts on a host endpoint (spec 5.7.3); workload endpoints know `normal` only. An Allow in one is the host endpoint's last word.
 * `untracked` and `pre-dnat` know no end of a tier and leave what nobody decided to the next. `forward` lets everything through as long as
 * no policy of the stage selects the host endpoint in the direction; once one does, it denies what nobody allows, also after a Pass.
 */
export type Stage = 'untracked' | 'pre-dnat' | 'normal' | 'forward'

/** A port that is open on every host endpoint whatever policy says (spec 5.7.2). */
export interface FailsafePort {
  /** IP protocol number. */
  readonly protocol: number
  readonly port: number
  /** Addresses at the other end that may use it. */
  readonly net: string
}

/** Policies that are asked together. */
export interface Tier {
  readonly name: string
  readonly order: number
  readonly defaultAction: 'deny' | 'pass'
  /** In evaluation order. */
  readonly policies: readonly Policy[]
}

/** Rules that decide when no tier did. */
export interface Profile {
  readonly name: string
  readonly ingress: readonly Rule[]
  readonly egress: readonly Rule[]
}

/** A service, to name what a connection addressed before DNAT. */
export interface ServicePort {
  readonly namespace: string
  readonly name: string
  readonly portName: string
  readonly port: number
  readonly protocol: number
  readonly clusterIps: readonly string[]
  readonly nodePort: number | null
  readonly targetPort: number | string
}

/** What an address is, as flow logs name it (spec 4.2.2). */
export interface Identity {
  readonly type: 'wep' | 'hep' | 'ns' | 'net'
  readonly namespace: string
  readonly name: string
  readonly nameAggr: string
  /** `key=value`, sorted, without `projectcalico.org/` keys. */
  readonly labels: readonly string[]
  readonly endpoint: Endpoint | null
}

/** The tiers that govern one endpoint in one direction, in order. */
export interface GoverningTier {
  readonly tier: Tier
  readonly policies: readonly Policy[]
}

/** What becomes of packets of a workload to its own host: `return` leaves them to host endpoints. */
export type EndpointToHostAction = 'drop' | 'return' | 'accept'

/** Members of an address set that came and went. */
export interface SetDelta {
  readonly added: ReadonlySet<string>
  readonly removed: ReadonlySet<string>
}

/**
 * What has changed in a model since a follower last asked; it may name more than what really changed, never less. Whoever keeps
 * something that is derived from the model works only on what is named here.
 */
export interface ModelChanges {
  /** Keys of endpoints that came, went or changed, or that other policies govern than before, or in another order. */
  readonly endpoints: ReadonlySet<string>
  /** Ids of policies that came, went, changed or moved. A set's members are no part of a policy. */
  readonly policies: ReadonlySet<string>
  /** Names of profiles whose resource came, went or changed. */
  readonly profiles: ReadonlySet<string>
  /** Sets in use whose members changed (a new set has all of them added); null when no rule uses the set any more. */
  readonly sets: ReadonlyMap<SetId, SetDelta | null>
  /** Tiers came, went, moved or have another default action: what governs any endpoint may be in another order. */
  readonly tiers: boolean
  /** Settings and addresses of nodes. */
  readonly settings: boolean
}

/** Follows the changes of a model; everything counts as changed for the first `take`. */
export interface ModelFollower {
  take(): ModelChanges
  stop(): void
}

/** The state of policy of one cluster at one moment. Built by `createCluster()`, updated resource by resource. */
export interface PolicyModel {
  /** Grows with every change that may alter a verdict. */
  readonly revision: number
  endpoints(): Iterable<Endpoint>
  endpoint(key: string): Endpoint | null
  endpointByIp(ip: string): Endpoint | null
  /** Existing tiers in evaluation order, with all their policies. */
  tiers(): readonly Tier[]
  profile(name: string): Profile | null
  /** The set, whose members change with the cluster: one object for as long as a rule uses it. Null when none does. */
  addressSet(id: SetId): AddressSet | null
  /**
   * Policies of the stage (normal when not given) that select the endpoint and govern the direction, staged ones included. The same list until
   * something in it is otherwise (a policy, its place, its tier, whether it is replaced), so that what is derived from it can be kept with it.
   */
  governing(endpoint: Endpoint, direction: Direction, stage?: Stage): readonly GoverningTier[]
  /** The endpoints that a policy selects, by its id; none for an id that is unknown. */
  selected(policyId: string): readonly Endpoint[]
  /** True when a staged policy of the same identity would replace or delete the enforced policy. */
  replaced(policy: Policy): boolean
  /** Host endpoints of a node, by name. */
  hostEndpoints(node: string): readonly Endpoint[]
  /** Ports that are open on the host endpoints of a node. */
  failsafes(direction: Direction, node: string): readonly FailsafePort[]
  /** The node that has the address, when it is one of a Node's own. */
  nodeOf(ip: string): string | null
  /** What happens to packets of a workload to its own host, this node, that egress policy let through. */
  endpointToHostAction(node: string): EndpointToHostAction
  /** True for packets that no workload of the node may send, by its settings: tunnels, which would hide from policy what is in them. */
  isTunnel(node: string, protocol: number, port: number | null): boolean
  /**
   * Names an address; `from` is the endpoint at the other end, whose namespace's network sets go first. `domains` are the names that DNS
   * answers gave to a destination: a network set may know it by one of them only.
   */
  identify(ip: string, from: Endpoint | null, domains?: readonly string[]): Identity
  /** The service at an address and port before DNAT. */
  service(ip: string, port: number, protocol: number): ServicePort | null
  /** A new follower of what changes. Each is told everything on its own account. */
  follow(): ModelFollower
}

/** One hit of a trace: `<index>|<tier>|<policy>|<action>|<ruleIndex>` (spec 4.2.4). */
export interface TraceEntry {
  readonly index: number
  readonly ref: PolicyRef
  readonly staged: boolean
  readonly action: 'allow' | 'deny' | 'pass'
  /** -1: no rule matched, the tier's default action applied. -2: unknown. */
  readonly ruleIndex: number
}

/** A packet that opens a connection, as seen after DNAT. */
export interface Packet {
  readonly sourceIp: string
  readonly destinationIp: string
  /** IP protocol number. */
  readonly protocol: number
  readonly sourcePort: number | null
  readonly destinationPort: number | null
  readonly icmp?: { type: number; code: number }
  /** Names that DNS answers gave to the destination before it was connected to, when known; all of them, if several. */
  readonly domains?: readonly string[]
  /**
   * What the client addressed, when DNAT has made it this destination: an address of a service or of a node. Untracked and pre-DNAT policy
   * judge by it, and a workload that reaches itself this way is judged like any other.
   */
  readonly addressed?: { readonly ip: string; readonly port: number | null }
  /** Interfaces by which it leaves the source's node and enters the destination's; what is not given follows from addresses. */
  readonly interfaces?: { readonly out?: string; readonly in?: string }
  /** The request, where an application proxy looks at it. Names of headers in any case. */
  readonly http?: {
    readonly method: string
    /** As requested, query and fragment included. */
    readonly path: string
    readonly headers?: Readonly<Record<string, string>>
  }
}

/** Why a packet was decided about without asking policy (spec 5.4, 14 4.1). */
export type Exemption =
  /** A workload talks to itself, or a node to itself. */
  | 'self'
  /** A node talks to its own workloads. */
  | 'own-host'
  /** A workload talks to its own node: the setting defaultEndpointToHostAction decides. */
  | 'endpoint-to-host'
  /** The port is open on host endpoints whatever policy says. */
  | 'failsafe'
  /** IPv6 looks for its neighbours. */
  | 'neighbour-discovery'
  /** A workload sends a tunnel (VXLAN, IP in IP), which settings of its node forbid. */
  | 'tunnel'

/** What was decided about one direction, and how. */
export interface Judgement {
  readonly verdict: Verdict
  readonly trace: readonly TraceEntry[]
  /** Set when policy was not asked; the trace is empty then. */
  readonly exempt?: Exemption
}

/** What the two ends, and host endpoints on the way, say; null for those that are not there or have no say. */
export interface Judgements {
  readonly egress: Judgement | null
  readonly ingress: Judgement | null
  /**
   * What host endpoints say that the packet is forwarded through: `egress` before it is on the way to the destination's node, `ingress` at
   * that node. Null where no policy for forwarded traffic has a say.
   */
  readonly transit: { readonly egress: Judgement | null; readonly ingress: Judgement | null }
}

/** The answer of the evaluator. */
export interface Evaluation extends Judgements {
  /** Deny when any of the judgements is. */
  readonly verdict: Verdict
  /** With staged policies as if enforced. */
  readonly pending: Judgements
}
