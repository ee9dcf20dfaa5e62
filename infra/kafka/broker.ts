import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePorts } from '../../test/harness/port.ts'
import { kafkaJars } from './jars.ts'

const run = promisify(execFile)

/** A broker that runs. */
export interface Broker {
  /** `host:port` to connect to; the same after a restart. */
  readonly brokers: string[]
  /** Ends the broker in order and removes its data. */
  stop(): Promise<void>
  /** Ends it at once, as a crash would; the data stays. */
  kill(): Promise<void>
  /** Starts it again on the same port and data, after `kill` or while it runs. */
  restart(): Promise<void>
}

/** What the JVM is told: a small heap and a quick start, for one developer or one test run. */
const jvm = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true']
const readyMs = 60_000

/**
 * Starts a Kafka broker with one node (KRaft: broker and controller in one) on free loopback ports, with its data in a
 * temporary folder; resolves when it takes requests. `properties` are added to its configuration.
 * Throws an Error that says what to install when `java` or `mvn` is missing, or that holds the broker's log when it does not start.
 */
export async function startBroker(options: { readonly properties?: Record<string, string> } = {}): Promise<Broker> {
  const classPath = `${await kafkaJars()}/*`
  const dir = mkdtempSync(join(tmpdir(), 'margay-kafka-'))
  const [port, controllerPort] = await freePorts(2)
  const file = join(dir, 'server.properties')
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(dir, 'data'),
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    // After a crash the broker's old session must end before it may come back: short, so that a restart is quick.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    ...options.properties,
  }
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const args = [...jvm, '-Dorg.slf4j.simpleLogger.defaultLogLevel=info', '-cp', classPath, 'kafka.Kafka', file]
    const started = spawn('java', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    child = started
    let log = ''
    let isReady = false
    started.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      log = (log + chunk).slice(-20_000)
      if (log.includes('Kafka Server started')) isReady = true
    })
    const end = Date.now() + readyMs
    while (!isReady) {
      if (started.exitCode !== null) throw new Error(`the Kafka broker ended with ${started.exitCode}:\n${log}`)
      if (Date.now() > end) throw new Error(`the Kafka broker did not start in ${readyMs / 1000} s:\n${log}`)
      await setTimeout(20)
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const ending = child
    child = undefined
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
    const gone = once(ending, 'exit')
    ending.kill(signal)
    await Promise.race([gone, setTimeout(15_000, undefined, { ref: false }).then(() => ending.kill('SIGKILL'))])
    await gone
  }

  const onExit = () => {
    child?.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  }
  process.once('exit', onExit)
  try {
    const format = ['kafka.tools.StorageTool', 'format', '--standalone', '-t', 'margay-margay-margayAA', '-c', file]
    await run('java', [...jvm, '-cp', classPath, ...format])
    await start()
  } catch (error) {
    process.off('exit', onExit)
    await end('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
    throw error
  }
  return {
    brokers: [`127.0.0.1:${port}`],
    async stop() {
      process.off('exit', onExit)
      await end('SIGTERM')
      rmSync(dir, { recursive: true, force: true })
    },
    kill: () => end('SIGKILL'),
    async restart() {
      await end('SIGTERM')
      await start()
    },
  }
}
