import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Contact } from '@margay/lab/network'
import { arrivals } from '@margay/lab/target'
import { type Evaluation, evaluate, type FlowEvent, formatTrace, type Packet, protocolNumber } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EnforcedLab, startEnforcedLab } from '../harness/enforced-lab.ts'
import { labObstacle } from '../harness/lab.ts'
import { type LadderProbe, ladder, type Outcome, stages } from './ladder-table.ts'

const topology = fileURLToPath(new URL('../../services/lab/manifests/demo', import.meta.url))
const fixture = (name: string) => readFileSync(new URL(`../fixtures/ladder/${name}.yaml`, import.meta.url), 'utf8')
const connectTimeoutMs = 1500

/** One record for each connection, so that each can be held against its own probe. */
const collection = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFileAggregationKindForAllowed: 0, flowLogsFileAggregationKindForDenied: 0}
`

/** A probe at a stage: what the network did, and the records that tell of it. */
interface Answer {
  readonly probe: LadderProbe
  readonly contact: Contact
  readonly records: readonly FlowEvent[]
}

const pass = (index: number, tier: string) => `${index}|${tier}|${tier}.pass-to-next-tier|pass|0`
const passes = [pass(0, 'security'), pass(1, 'platform'), pass(2, 'application')]
/** Once the threat feed is in force, it is what leaves egress to the next tier. */
const fed = ['0|security|security.block-feodo|pass|1', passes[1] as string]

/** Traces word by word, of a stage, a probe, and the end that tells. */
const traces: readonly {
  readonly stage: number
  readonly from: string
  readonly to: string
  readonly reporter: 'src' | 'dst'
  readonly enforced: readonly string[]
  readonly pending?: readonly string[]
}[] = [
  {
    stage: 2,
    from: 'default/loadgenerator',
    to: 'frontend.default:80',
    reporter: 'src',
    enforced: [...passes, '3|__PROFILE__|__PROFILE__.kns.default|allow|0'],
    pending: [...passes, '3|default|staged:default.default-deny|deny|-1'],
  },
  {
    stage: 4,
    from: 'default/loadgenerator',
    to: 'frontend.default:80',
    reporter: 'src',
    enforced: [...passes.slice(0, 2), '2|application|default/application.loadgenerator|allow|1'],
  },
  {
    stage: 4,
    from: 'default/loadgenerator',
    to: 'frontend.default:80',
    reporter: 'dst',
    enforced: [...passes.slice(0, 2), '2|application|default/application.frontend|allow|0'],
  },
  {
    stage: 4,
    from: 'dev/centos',
    to: 'nginx-svc.dev:80',
    reporter: 'src',
    enforced: [...passes, '3|default|dev/knp.default.centos|allow|0'],
  },
  {
    stage: 4,
    from: 'dev/centos',
    to: 'nginx-svc.dev:80',
    reporter: 'dst',
    enforced: [...passes, '3|default|dev/knp.default.nginx|allow|0'],
  },
  {
    stage: 4,
    from: 'dev/centos',
    to: 'frontend.default:80',
    reporter: 'src',
    enforced: [...passes, '3|default|default.default-deny|deny|-1'],
  },
  {
    stage: 6,
    from: 'dev/centos',
    to: 'frontend.default:80',
    reporter: 'src',
    enforced: ['0|security|security.block-feodo|pass|1', '1|platform|dev/platform.centos-to-frontend|allow|1'],
  },
  {
    stage: 6,
    from: 'dev/centos',
    to: 'frontend.default:80',
    reporter: 'dst',
    enforced: [...passes.slice(0, 2), '2|application|default/application.frontend|allow|1'],
  },
  {
    stage: 7,
    from: 'dev/centos',
    to: 'api.twilio.com:443',
    reporter: 'src',
    enforced: ['0|security|security.external-domains-access|allow|0'],
  },
  {
    stage: 7,
    from: 'dev/centos',
    to: '203.0.113.66:80',
    reporter: 'src',
    enforced: ['0|security|security.block-feodo|deny|0'],
  },
  {
    stage: 5,
    from: 'default/loadgenerator',
    to: '203.0.113.66:80',
    reporter: 'src',
    enforced: ['0|security|security.block-feodo|deny|0'],
  },
  {
    stage: 5,
    from: 'default/checkoutservice',
    to: 'www.google.com:80',
    reporter: 'src',
    enforced: [...fed, '2|application|default/application.checkoutservice|allow|6'],
  },
  {
    stage: 10,
    from: 'dev/centos',
    to: 'nginx-svc.dev:80',
    reporter: 'src',
    enforced: ['0|security|security.quarantine|deny|1'],
  },
]

describe.skipIf(labObstacle !== null)('the policy ladder, stage by stage: kernel, records and evaluator', () => {
  let world: EnforcedLab
  /** The rows of the table, and those between pods over IPv6 too, to the pod itself: only services have names here. */
  let probes: readonly LadderProbe[]
  /** Addresses that names had when they could still be asked for. */
  const addresses = new Map<LadderProbe, string>()

  beforeAll(async () => {
    world = await startEnforcedLab({ manifests: topology })
    await world.change(collection)
    probes = [...ladder, ...ladder.flatMap(overIpv6)]
    expect(probes.length - ladder.length).toBe(24)
  })
  afterAll(() => world?.stop())

  function overIpv6({ source, destination, outcomes }: LadderProbe): LadderProbe[] {
    const [, name, namespace, port] = /^([a-z-]+)\.([a-z]+):(\d+)$/.exec(destination) ?? []
    const service = world.lab.plan.services.find((one) => one.name === name && one.namespace === namespace)
    if (service === undefined) return []
    const [endpoint] = service.endpoints
    const target = endpoint?.ports[service.ports.findIndex((one) => one.port === Number(port))]
    return [{ source, destination: `[${endpoint?.pod.ip6}]:${target}`, outcomes }]
  }

  async function climbTo(stage: number): Promise<void> {
    if (stage === 0) return
    if (stage < 10) return world.change(fixture(`s${stage}`), stage === 4 ? fixture('s4-remove') : undefined)
    const centos = world.lab.resources.filter(({ kind, metadata }) => kind === 'Pod' && metadata.name === 'centos')
    return world.change(
      centos.map((pod) => ({
        ...pod,
        metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, quarantine: 'true' } },
      })),
    )
  }

  /** Who cannot ask for a name in quarantine is told the address. */
  const isCutOff = (source: string, stage: number) => stage === 10 && source === 'dev/centos'

  async function connect(probe: LadderProbe, stage: number): Promise<Contact> {
    const { source, destination } = probe
    const isNumber = /^[[\d]/.test(destination)
    const known =
      isCutOff(source, stage) && !isNumber ? `${addresses.get(probe)}:${destination.split(':')[1]}` : destination
    const contact = await world.lab.probe(source, known, { timeoutMs: connectTimeoutMs })
    if (contact.address !== null) addresses.set(probe, contact.address)
    return contact
  }

  /** Asks for a name. Who is cut off may once more be answered, on a port that it used before: that connection stands. */
  async function lookUp(pod: string, stage: number): Promise<Contact> {
    const ask = () => world.lab.lookUp(pod, 'frontend.default.svc.cluster.local.')
    const first = await ask()
    return first.ok && isCutOff(pod, stage) ? ask() : first
  }

  /** The records of a connection: by its own port, and by where it may have arrived. */
  function recordsOf({ source, destination }: LadderProbe, contact: Contact, flows: readonly FlowEvent[]): FlowEvent[] {
    const pod = world.lab.pod(source)
    const ip = destination.startsWith('[') ? pod.ip6 : pod.ip
    const at = arrivals(world.lab.plan, contact.address ?? '', Number(destination.split(':').at(-1)))
    return flows.filter(
      (flow) =>
        flow.proto === 'tcp' &&
        flow.source_ip === ip &&
        flow.source_port === contact.sourcePort &&
        at.some((end) => end.ip === flow.dest_ip && end.port === flow.dest_port),
    )
  }

  /** How records are told from each other: which end, and what it did. */
  const shapeOf = (records: readonly FlowEvent[]) =>
    [...new Set(records.map(({ reporter, action }) => `${reporter} ${action}`))].sort().join(', ')

  function expectedShape({ destination, outcomes }: LadderProbe, stage: number): string {
    const isPod = /^(\[|[a-z-]+\.(default|dev):)/.test(destination)
    const outcome = outcomes[stage]
    if (outcome === 'deny at source') return 'src deny'
    if (outcome === 'deny at destination') return 'dst deny, src allow'
    return isPod ? 'dst allow, src allow' : 'src allow'
  }

  const deniesAtEnd = (trace: readonly string[]) => /\|deny\|/.test(trace.at(-1) ?? '')

  /** The outcome that the kernel and the records tell. */
  function toldOutcome({ contact, records }: Answer): Outcome | string {
    const denied = records.find(({ action }) => action === 'deny')
    if (contact.ok !== (denied === undefined)) return `the records say otherwise than the kernel (${contact.error})`
    if (denied !== undefined) return denied.reporter === 'src' ? 'deny at source' : 'deny at destination'
    return records.some(({ pending_policies }) => deniesAtEnd(pending_policies)) ? 'staged deny' : 'allow'
  }

  function evaluatedOutcome({ egress, ingress, pending }: Evaluation): Outcome {
    if (egress?.verdict === 'deny') return 'deny at source'
    if (ingress?.verdict === 'deny') return 'deny at destination'
    return pending.egress?.verdict === 'deny' || pending.ingress?.verdict === 'deny' ? 'staged deny' : 'allow'
  }

  /** Every name that leads to an address of the outside world. */
  function namesOf(ip: string): string[] {
    const { names } = world.lab.plan.internet
    const direct = names.filter(({ addresses: own }) => own.includes(ip)).map(({ name }) => name)
    return [...direct, ...names.filter(({ cname }) => cname !== null && direct.includes(cname)).map(({ name }) => name)]
  }

  /** The packet that opened the connection of a record, and the service that it was sent to. */
  function packetOf(flow: FlowEvent): Packet {
    const service = world.lab.plan.services.find(
      ({ namespace, name }) => namespace === flow.dest_service_namespace && name === flow.dest_service_name,
    )
    return {
      ...(service?.clusterIp != null && {
        addressed: { ip: service.clusterIp, port: flow.dest_service_port_num ?? null },
      }),
      sourceIp: flow.source_ip as string,
      destinationIp: flow.dest_ip as string,
      protocol: protocolNumber(flow.proto) as number,
      sourcePort: flow.source_port,
      destinationPort: flow.dest_port,
      domains: namesOf(flow.dest_ip as string),
    }
  }

  function expectTraces(flow: FlowEvent, evaluation: Evaluation): void {
    const side = flow.reporter === 'src' ? 'egress' : 'ingress'
    const written = (trace: Evaluation['egress']) => (trace?.trace ?? []).map(formatTrace)
    expect({ ...ends(flow), enforced: flow.enforced_policies, pending: flow.pending_policies }).toEqual({
      ...ends(flow),
      enforced: written(evaluation[side]),
      pending: written(evaluation.pending[side]),
    })
  }
  const ends = ({ reporter, source_name, dest_name, dest_ip, dest_port }: FlowEvent) => ({
    flow: `${reporter}: ${source_name} -> ${dest_name === '-' ? dest_ip : dest_name}:${dest_port}`,
  })

  for (let stage = 0; stage < stages; stage += 1) {
    test(`stage ${stage}`, async () => {
      await climbTo(stage)
      await world.newFlows()
      const pods = world.lab.pods.map(({ namespace, name }) => `${namespace}/${name}`)
      const [contacts, lookUps] = await Promise.all([
        Promise.all(probes.map((probe) => connect(probe, stage))),
        Promise.all(pods.map((pod) => lookUp(pod, stage))),
      ])
      const flows = await world.newFlows()
      const answersNow = () =>
        probes.map((probe, i): Answer => {
          const contact = contacts[i] as Contact
          return { probe, contact, records: recordsOf(probe, contact, flows) }
        })
      // The last packets of the last connections may still be on their way to the agents.
      for (const end = Date.now() + 5000; Date.now() < end; await sleep(50)) {
        if (answersNow().every(({ probe, records }) => shapeOf(records) === expectedShape(probe, stage))) break
        flows.push(...(await world.newFlows()))
      }

      const answers = answersNow()
      const shown = (what: (answer: Answer) => string) =>
        answers.map((answer) => `${answer.probe.source} -> ${answer.probe.destination}: ${what(answer)}`)
      expect(shown(({ records }) => shapeOf(records))).toEqual(shown(({ probe }) => expectedShape(probe, stage)))
      expect(shown(toldOutcome)).toEqual(shown(({ probe }) => probe.outcomes[stage] as Outcome))
      expect(answers.filter(({ contact }) => !contact.ok && contact.error !== 'timed out')).toEqual([])
      for (const { probe, records } of answers) {
        const evaluation = evaluate(world.cluster, packetOf(records[0] as FlowEvent))
        expect(evaluatedOutcome(evaluation), `${probe.source} -> ${probe.destination}`).toBe(probe.outcomes[stage])
      }

      // Every pod may ask for names, but for one in quarantine; whatever is staged has no say in it.
      expect(pods.filter((_, i) => !lookUps[i]?.ok)).toEqual(stage === 10 ? ['dev/centos'] : [])
      const asked = flows.filter((flow) => flow.proto === 'udp' && flow.dest_port === 53 && flow.num_flows_started > 0)
      expect(
        asked.filter(({ pending_policies }) => deniesAtEnd(pending_policies)).map(({ source_name }) => source_name),
      ).toEqual(asked.filter(({ action }) => action === 'deny').map(({ source_name }) => source_name))
      for (const pod of pods)
        expect(
          [
            ...new Set(
              asked
                .filter(({ source_name, reporter }) => pod.endsWith(`/${source_name}`) && reporter === 'src')
                .map(({ action }) => action),
            ),
          ],
          pod,
        ).toEqual([isCutOff(pod, stage) ? 'deny' : 'allow'])

      // A look-up from a port that one of a stage before used is the same connection to the kernel, decided then.
      const fresh = flows.filter(({ num_flows_started }) => num_flows_started > 0)
      expect(fresh.length).toBeGreaterThan(probes.length)
      expect(flows.filter(({ proto }) => proto !== 'tcp' && proto !== 'udp')).toEqual([])
      for (const flow of fresh) expectTraces(flow, evaluate(world.cluster, packetOf(flow)))
      for (const trace of traces.filter((one) => one.stage === stage)) {
        const answer = answers.find(({ probe }) => probe.source === trace.from && probe.destination === trace.to)
        const record = answer?.records.find(({ reporter }) => reporter === trace.reporter)
        expect(record?.enforced_policies, `${trace.from} -> ${trace.to}`).toEqual(trace.enforced)
        expect(record?.pending_policies, `${trace.from} -> ${trace.to}`).toEqual(trace.pending ?? trace.enforced)
      }
    })
  }
})
