import { Kafka, logLevel } from 'kafkajs'
import { readSecret } from '../../config.ts'
import { MargayError, messageOf } from '../../errors.ts'
import type { Reporter } from '../../reporter.ts'
import { restTimers } from './internals.ts'

/** How a broker is reached. */
export interface KafkaConfig {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly replicationFactor: number
  readonly tls: boolean
  readonly saslUsername?: string | undefined
  readonly saslPasswordFile?: string | undefined
}

/** Longest wait for anything asked of Kafka; its own tries are shorter. */
export const patienceMs = 10_000
/** Longest that a fetch waits at the broker for records; also the longest that closing waits for it. */
export const fetchWaitMs = 500
/** Largest batch of records that our topics take, and so the largest append to one partition. */
export const maxBatchBytes = 16 * 2 ** 20

/** Makes the client. What kafkajs has to say goes to the reporter: troubles sampled as warnings, the rest as debug. */
export function createKafka(config: KafkaConfig, reporter: Reporter): Kafka {
  restTimers()
  const warn = reporter.sampled()
  const { saslUsername: username, saslPasswordFile: file } = config
  return new Kafka({
    brokers: [...config.brokers],
    clientId: config.clientId,
    ssl: config.tls,
    ...(username === undefined
      ? {}
      : { sasl: { mechanism: 'scram-sha-512', username, password: file === undefined ? '' : readSecret(file) } }),
    connectionTimeout: 3000,
    requestTimeout: patienceMs,
    retry: { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1500, retries: 5 },
    logLevel: logLevel.INFO,
    logCreator:
      () =>
      ({ namespace, level, log: { message, error, broker, topic, partition, groupId } }) => {
        const fields = { part: namespace, message, error, broker, topic, partition, group: groupId }
        if (level <= logLevel.WARN) warn(fields, 'kafka client reports trouble')
        else reporter.log.debug(fields, 'kafka client reports')
      },
  })
}

/** What keeps an eye on the connection: the last trouble, until something succeeds. */
export interface Watch {
  readonly trouble: string | null
  /** Something worked. */
  good(): void
  /** Remembers a failure and gives the error to throw: LOG_UNAVAILABLE, unless it is a MargayError already. */
  bad(what: string, cause: unknown): MargayError
  /** Runs something with the common patience; rejects with LOG_UNAVAILABLE. */
  run<T>(what: string, action: () => Promise<T>): Promise<T>
}

/** Makes the watch of one client. */
export function createWatch(brokers: readonly string[]): Watch {
  let trouble: string | null = null
  const good = () => {
    trouble = null
  }
  const bad = (what: string, cause: unknown) => {
    if (cause instanceof MargayError && cause.code !== 'LOG_UNAVAILABLE') return cause
    const reason = cause instanceof MargayError ? cause.message : messageOf(cause)
    trouble = `kafka at ${brokers.join(', ')}: ${what}: ${reason}`
    return new MargayError('LOG_UNAVAILABLE', `${trouble}; check that the broker runs and can be reached`, { cause })
  }
  return {
    get trouble() {
      return trouble
    },
    good,
    bad,
    async run(what, action) {
      try {
        const result = await patiently(action())
        good()
        return result
      } catch (error) {
        throw bad(what, error)
      }
    },
  }
}

/** The result of a promise, or an error once the patience, or what is left of it, is over. */
export async function patiently<T>(promise: Promise<T>, leftMs = patienceMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs / 1000} s`)), leftMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
