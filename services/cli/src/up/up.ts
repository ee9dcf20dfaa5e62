import { once } from 'node:events'
import { join } from 'node:path'
import type { Config } from '@margay/kit/config'
import pc from 'picocolors'
import { prepareGround, releaseGround } from './ground.ts'
import { agentEnvironment, environmentOf, type LabNode, servicesOf, sharedEnvironment } from './plan.ts'
import { createServiceProcess, type ServiceProcess } from './process.ts'
import type { Screen } from './screen.ts'

interface LabMessage {
  mode: 'kernel' | 'simulated'
  reason?: string
  nodes: LabNode[]
}

/**
 * Runs the whole product on this machine: one process for each service, an agent for each node of the lab,
 * each started again when it dies; ends them in reverse when `end` fires.
 */
export async function up(config: Config, screen: Screen, end: AbortSignal): Promise<void> {
  const ground = await prepareGround(config)
  const shared = sharedEnvironment(config, ground)
  const logDir = join(config.home, 'logs')
  const running: ServiceProcess[] = []
  const ready = new Map<string, () => void>()
  const readiness: Promise<void>[] = []
  let lab: LabMessage | undefined

  function launch(name: string, service: string, env: Record<string, string>): Promise<void> {
    const isReady = new Promise<void>((resolve) => ready.set(name, resolve))
    const child = createServiceProcess(
      { name, package: `@margay/${service}`, env: { ...shared, ...environmentOf(service), ...env } },
      { logDir, end },
      {
        onMessage(message) {
          if (message.lab !== undefined) {
            lab = message.lab as LabMessage
            // A lab that started again has new namespaces: agents from before still work in the old ones.
            for (const agent of running.filter(isAgent)) agent.restart()
          }
          if (message.ready === true && ready.has(name)) {
            ready.get(name)?.()
            ready.delete(name)
            screen.done(name)
          }
        },
        onComplaint: (line) => screen.warn(name, line),
        onCrash: (code, delayMs) =>
          screen.warn(
            name,
            `ended with ${code ?? 'a signal'}, starts again in ${delayMs} ms (${join(logDir, `${name.replace(' ', '-')}.log`)})`,
          ),
      },
    )
    running.push(child)
    child.start()
    return isReady
  }

  try {
    screen.step(`starting in ${config.home}`)
    for (const service of servicesOf(config)) readiness.push(launch(service, service, {}))
    // Agents need the lab's nodes, nothing else: they do not wait for the slowest service.
    if (config.lab.enabled) {
      readiness.push(
        (readiness.at(-1) as Promise<void>).then(async () => {
          if (lab?.mode !== 'kernel' || end.aborted) return
          await Promise.all(lab.nodes.map((node) => launch(`agent ${node.name}`, 'agent', agentEnvironment(node))))
        }),
      )
    }
    const ended = new Promise<void>((resolve) => end.addEventListener('abort', () => resolve()))
    await Promise.race([Promise.all(readiness), ended])
    if (!end.aborted) {
      announce(config, lab, screen)
      await once(end, 'abort')
    }
  } finally {
    screen.step('stopping')
    // Agents first, the engine last: each flushes into what is still there.
    const agents = running.filter(isAgent)
    await Promise.all(agents.map((child) => child.stop()))
    for (const child of running.filter((c) => !agents.includes(c)).reverse()) await child.stop()
    releaseGround(config.home)
    screen.done('stopped')
  }
}

const isAgent = ({ name }: ServiceProcess) => name.startsWith('agent')

function announce(config: Config, lab: LabMessage | undefined, screen: Screen): void {
  const url = `http://${config.api.host.includes(':') ? `[${config.api.host}]` : config.api.host}:${config.api.port}`
  if (lab?.mode === 'simulated') screen.warn('lab', `simulated${lab.reason === undefined ? '' : `: ${lab.reason}`}`)
  screen.say('')
  screen.say(`  ${pc.bold('Margay is live:')} ${pc.cyan(url)}   (Ctrl-C ends it; data stays in ${config.home})`)
  if (lab !== undefined) {
    screen.say('')
    screen.say('  Try, in another terminal:')
    screen.say('    npx margay lab status')
    screen.say('    npx margay flows -f "action = deny"')
    if (lab.mode === 'kernel' && config.lab.manifests === undefined) {
      screen.say('    npx margay lab exec dev/centos -- curl -m2 http://nginx-svc')
      screen.say('    npx margay lab probe dev/netshoot default/paymentservice:50051')
    }
  }
  screen.say('')
}
