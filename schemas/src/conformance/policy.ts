import { createCluster } from '../policy/cluster.ts'
import { evaluate } from '../policy/evaluate.ts'
import { type Explanation, explain } from '../policy/explain.ts'
import type { Evaluation, Exemption, Judgement, Judgements, Packet, Verdict } from '../policy/model.ts'
import { formatTrace } from '../policy/trace.ts'
import { validateResource } from '../resources/kinds.ts'
import type { Resource } from '../resources/resource.ts'
import type { Backend } from './backends.ts'
import { hostAddresses, type Place, type World } from './places.ts'
import { arrivalsOf, type Probe } from './probe.ts'
import { readProbe } from './probe-shape.ts'
import { type Given, messageOf, objectOf, VectorError } from './request.ts'
import { resourceOf } from './resource.ts'

/** What one end says. */
export interface EndAnswer {
  readonly verdict: Verdict
  /** Hits in the documented form, in order. */
  readonly trace: readonly string[]
  /** Why policy was not asked; `outside` when this end is no endpoint. */
  readonly exempt?: Exemption | 'outside'
}

/** What both ends say, and host endpoints that the connection passes through on its way. */
export interface EndAnswers {
  readonly verdict: Verdict
  readonly egress: EndAnswer
  readonly ingress: EndAnswer
  /** Absent when no policy for forwarded traffic has a say. */
  readonly transit?: { readonly egress?: EndAnswer; readonly ingress?: EndAnswer }
}

/** What is said of a connection. */
export interface PolicyAnswer extends EndAnswers {
  /** With staged policies as if enforced. */
  readonly pending: EndAnswers
  /** Where the connection may arrive, when its verdict depends on that: it then denies if any of these does. */
  readonly backends?: readonly (Backend & { readonly verdict: Verdict; readonly pending: Verdict })[]
}

/** Answers `{resources, probe}`. Throws VectorError when a resource is not valid or an end of the probe is not there. */
export function answerPolicy(given: Given): PolicyAnswer {
  const { resources } = given
  if (!Array.isArray(resources)) throw new VectorError('resources must be a list')
  const probe = readProbe(objectOf(given, 'probe'))
  return judgeProbe(
    worldOf(
      resources.map((one, index) => validResource(one, index)),
      probe,
    ),
    probe,
  )
}

/** Judges a connection to every place where it may arrive. Throws VectorError when it has no ends. */
export function judgeProbe(world: World, probe: Probe): PolicyAnswer {
  const judged = arrivalsOf(world, probe).packets.map((packet) => ({
    packet,
    evaluation: evaluate(world.cluster, packet),
  }))
  const verdicts = judged.map(({ packet: { destinationIp, destinationPort }, evaluation }) => ({
    ip: destinationIp,
    port: destinationPort as number,
    verdict: evaluation.verdict,
    pending: verdictOf(evaluation.pending),
  }))
  const first = (denied: (evaluation: Evaluation) => boolean) =>
    (judged.find(({ evaluation }) => denied(evaluation)) ?? judged[0])?.evaluation as Evaluation
  const enforced = first(({ verdict }) => verdict === 'deny')
  const pending = first((evaluation) => verdictOf(evaluation.pending) === 'deny').pending
  const differ = verdicts.some(
    ({ verdict, pending: p }) => verdict !== verdicts[0]?.verdict || p !== verdicts[0]?.pending,
  )
  return { ...answerOf(enforced), pending: answerOf(pending), ...(differ && { backends: verdicts }) }
}

/** Explains the verdict on a connection, where it is denied if it is denied anywhere. Throws VectorError when it has no ends. */
export function explainProbe(world: World, probe: Probe): Explanation {
  const { packets } = arrivalsOf(world, probe)
  const packet = packets.find((one) => evaluate(world.cluster, one).verdict === 'deny') ?? packets[0]
  return explain(world.cluster, packet as Packet)
}

function answerOf(judgements: Judgements): EndAnswers {
  const { egress, ingress, transit } = judgements
  const passing = {
    ...(transit.egress && { egress: endOf(transit.egress) }),
    ...(transit.ingress && { ingress: endOf(transit.ingress) }),
  }
  return {
    verdict: verdictOf(judgements),
    egress: endOf(egress),
    ingress: endOf(ingress),
    ...(Object.keys(passing).length > 0 && { transit: passing }),
  }
}

function endOf(judgement: Judgement | null): EndAnswer {
  if (judgement === null) return { verdict: 'allow', trace: [], exempt: 'outside' }
  const { verdict, trace, exempt } = judgement
  return { verdict, trace: trace.map(formatTrace), ...(exempt && { exempt }) }
}

function verdictOf({ egress, ingress, transit }: Judgements): Verdict {
  const denied = [egress, ingress, transit.egress, transit.ingress].some((judgement) => judgement?.verdict === 'deny')
  return denied ? 'deny' : 'allow'
}

function validResource(given: unknown, index: number): Resource {
  const at = `resources[${index}]`
  if (typeof given !== 'object' || given === null) throw new VectorError(`${at} must be an object`)
  const resource = resourceOf(given as Given)
  const { kind, metadata } = resource
  const [error] = validateResource(resource).filter(({ severity }) => severity === 'error')
  if (error !== undefined)
    throw new VectorError(
      `${at} (${kind} ${metadata.name ?? 'without a name'}) is not valid: ${error.path}: ${error.message}`,
    )
  return resource
}

/** The world that holds what was given and nothing else: no profile is implied. A node that the probe names and nobody gave has an address. */
function worldOf(resources: readonly Resource[], { source, destination }: Probe): World {
  const cluster = createCluster({ impliedProfiles: false })
  for (const resource of resources) apply(cluster, resource)
  const hosts = [source, destination].flatMap(({ host }: Place) => host ?? [])
  const missing = [...new Set(hosts)].filter((host) => hostAddresses({ cluster, resources }, host).length === 0)
  const nodes = missing.map((name, index) => nodeAt(name, index + 1))
  for (const node of nodes) cluster.apply(node)
  return { cluster, resources: [...resources, ...nodes] }
}

function apply(cluster: World['cluster'], resource: Resource): void {
  try {
    cluster.apply(resource)
  } catch (error) {
    throw new VectorError(`${resource.kind} ${resource.metadata.name}: ${messageOf(error)}`)
  }
}

/** A node in the range of benchmarks (RFC 2544, RFC 5180). */
function nodeAt(name: string, index: number): Resource {
  const addresses = [`198.18.255.${index}`, `2001:2::ff:${index}`].map((address) => ({ type: 'InternalIP', address }))
  return { apiVersion: 'v1', kind: 'Node', metadata: { name }, status: { addresses } }
}
