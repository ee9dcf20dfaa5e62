import { type Static, Type } from 'typebox'
import { parseDuration } from './resources/duration.ts'

/**
 * The whole configuration: one file (`margay.yaml`, or the one that MARGAY_CONFIG names) plus environment
 * (`MARGAY_<SECTION>__<KEY>`), the same for every service; each reads the sections it needs, and all are checked at start.
 */
const duration = (value: string, description: string) =>
  Type.String({ default: value, description, pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$' })
const size = (value: string, description: string) =>
  Type.String({ default: value, description, pattern: '^[0-9]+(B|KiB|MiB|GiB)$' })
const strict = { additionalProperties: false, default: {} } as const
const optionalFile = (description: string) => Type.Optional(Type.String({ description }))

/** The schema of the whole configuration, with defaults and what each setting is for. */
export const Config = Type.Object(
  {
    home: Type.String({
      default: '~/.margay',
      description: 'folder for data, sockets and secrets; MARGAY_HOME sets it too',
    }),
    cluster: Type.String({ default: 'cluster', description: 'name of this cluster in every event' }),
    report: Type.Object(
      {
        level: Type.Union(
          ['trace', 'debug', 'info', 'warn', 'error'].map((l) => Type.Literal(l)),
          { default: 'info', description: 'least severe log line written' },
        ),
        statusInterval: duration('5s', 'time between status events of a service'),
      },
      strict,
    ),
    log: Type.Object(
      {
        adapter: Type.Union([Type.Literal('embedded'), Type.Literal('kafka')], {
          default: 'embedded',
          description: 'event log: embedded (a folder) or kafka',
        }),
        embedded: Type.Object(
          {
            dir: Type.Optional(Type.String({ description: 'folder of the embedded log; <home>/log when absent' })),
            partitions: Type.Integer({
              default: 1,
              minimum: 1,
              maximum: 64,
              description: 'partitions of an event topic',
            }),
          },
          strict,
        ),
        kafka: Type.Object(
          {
            brokers: Type.Array(Type.String(), {
              default: ['127.0.0.1:9092'],
              description: 'host:port of brokers to start from',
            }),
            clientId: Type.String({ default: 'margay', description: 'client id shown by the broker' }),
            partitions: Type.Integer({
              default: 6,
              minimum: 1,
              maximum: 1000,
              description: 'partitions of an event topic',
            }),
            replicationFactor: Type.Integer({ default: 1, minimum: 1, description: 'replicas of every topic' }),
            tls: Type.Boolean({ default: false, description: 'connect with TLS' }),
            saslUsername: Type.Optional(Type.String({ description: 'SASL/SCRAM-SHA-512 user' })),
            saslPasswordFile: optionalFile('file that holds the SASL password'),
          },
          strict,
        ),
      },
      strict,
    ),
    clickhouse: Type.Object(
      {
        url: Type.Optional(Type.String({ description: 'URL of a ClickHouse server; absent: the embedded engine' })),
        user: Type.String({ default: 'default', description: 'user' }),
        passwordFile: optionalFile('file that holds the password'),
        database: Type.String({ default: 'margay', description: 'database; made at start' }),
        requestTimeout: duration('60s', 'longest wait for one answer'),
      },
      strict,
    ),
    engine: Type.Object(
      {
        port: Type.Integer({
          default: 0,
          minimum: 0,
          maximum: 65535,
          description: 'loopback port of the embedded engine; 0: any free one',
        }),
        dir: Type.Optional(Type.String({ description: 'data folder; <home>/clickhouse when absent' })),
        passwordFile: optionalFile('file that holds the password the engine asks for'),
        maxMemory: size('2GiB', 'memory limit of the engine'),
      },
      strict,
    ),
    store: Type.Object(
      {
        batchRows: Type.Integer({ default: 100_000, minimum: 1, description: 'rows that close a batch' }),
        batchBytes: size('32MiB', 'bytes that close a batch'),
        batchInterval: duration('1s', 'age that closes a batch'),
        maxInFlight: size('64MiB', 'bytes held in memory at most'),
      },
      strict,
    ),
    agent: Type.Object(
      {
        node: Type.Optional(Type.String({ description: 'name of this node; the host name when absent' })),
        netns: Type.Optional(
          Type.String({ description: 'network namespace to work in (a lab node); absent: the process’s own' }),
        ),
        dataplane: Type.Union([Type.Literal('nftables'), Type.Literal('memory')], {
          default: 'nftables',
          description: 'how policy is enforced',
        }),
        nft: Type.Union([Type.Literal('auto'), Type.Literal('netlink'), Type.Literal('command')], {
          default: 'auto',
          description: 'how nftables is written: over netlink, by the nft command, or by netlink where it is to be had',
        }),
        cutDenied: Type.Boolean({
          default: false,
          description:
            'connections that policy denies from now on are cut; otherwise they go on, as in Calico, and are counted',
        }),
        flowFlushInterval: duration('10s', 'time between flow logs when FelixConfiguration does not say'),
        heartbeatInterval: duration('5s', 'time between status events'),
      },
      strict,
    ),
    alerts: Type.Object(
      {
        receivers: Type.Array(
          Type.Union([
            Type.Object(
              {
                type: Type.Literal('email'),
                name: Type.String(),
                host: Type.String(),
                port: Type.Integer({ default: 587, minimum: 1, maximum: 65535 }),
                from: Type.String(),
                to: Type.Array(Type.String(), { minItems: 1 }),
                username: Type.Optional(Type.String()),
                passwordFile: Type.Optional(Type.String()),
                tls: Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('tls')], {
                  default: 'starttls',
                }),
                minSeverity: Type.Integer({ default: 1, minimum: 1, maximum: 100 }),
              },
              { additionalProperties: false },
            ),
            Type.Object(
              {
                type: Type.Literal('slack'),
                name: Type.String(),
                channel: Type.String(),
                tokenFile: Type.String(),
                apiUrl: Type.Optional(Type.String()),
                minSeverity: Type.Integer({ default: 1, minimum: 1, maximum: 100 }),
              },
              { additionalProperties: false },
            ),
            Type.Object(
              {
                type: Type.Literal('webhook'),
                name: Type.String(),
                url: Type.String({ pattern: '^https?://[^/]' }),
                tokenFile: Type.Optional(Type.String()),
                minSeverity: Type.Integer({ default: 1, minimum: 1, maximum: 100 }),
              },
              { additionalProperties: false },
            ),
          ]),
          { default: [], description: 'where alert messages go; none: the inbox on the console and the log' },
        ),
        maxEventsPerRun: Type.Integer({
          default: 10_000,
          minimum: 1,
          description: 'events one run of an alert may raise',
        }),
        repeatInterval: duration('1h', 'silence after a message about the same alert and group'),
      },
      strict,
    ),
    compliance: Type.Object(
      {
        snapshotHour: Type.Integer({
          default: 0,
          minimum: 0,
          maximum: 23,
          description: 'UTC hour of the daily snapshot',
        }),
        startDelay: duration('30m', 'wait after the end of an interval before its report is made'),
      },
      strict,
    ),
    api: Type.Object(
      {
        host: Type.String({
          default: '127.0.0.1',
          description: 'address to listen on; any but loopback needs tokenFile',
        }),
        port: Type.Integer({ default: 8080, minimum: 0, maximum: 65535, description: 'port to listen on' }),
        tokenFile: optionalFile('file that holds the access token; needed off loopback'),
        authorization: Type.Union([Type.Literal('none'), Type.Literal('rbac')], {
          default: 'none',
          description:
            'none: whoever uses the API may do everything with resources; rbac: what the roles and bindings of the cluster allow to the user of X-Margay-User and X-Margay-Groups',
        }),
        allowedHosts: Type.Array(Type.String(), { default: [], description: 'further Host names to accept' }),
        bodyLimit: size('4MiB', 'largest request body'),
        requestTimeout: duration('30s', 'longest time for a request'),
        queryMaxRows: Type.Integer({ default: 10_000, minimum: 1, description: 'rows that one SQL answer may have' }),
        queryMaxSeconds: Type.Integer({ default: 30, minimum: 1, description: 'seconds that one SQL query may run' }),
      },
      strict,
    ),
    lab: Type.Object(
      {
        enabled: Type.Boolean({ default: true, description: 'bring up the lab cluster with margay up' }),
        mode: Type.Union([Type.Literal('auto'), Type.Literal('kernel'), Type.Literal('simulated')], {
          default: 'auto',
          description:
            'kernel: namespaces and nftables; simulated: the evaluator; auto: kernel where root and nftables allow',
        }),
        manifests: Type.Optional(
          Type.String({ description: 'folder of Kubernetes manifests; the bundled demonstration when absent' }),
        ),
        nodes: Type.Integer({ default: 2, minimum: 1, maximum: 16, description: 'nodes of the lab' }),
        id: Type.String({
          default: 'mgy',
          pattern: '^[a-z][a-z0-9]{0,4}$',
          description: 'prefix of namespaces and devices, so that labs run side by side',
        }),
      },
      strict,
    ),
  },
  { additionalProperties: false },
)

/** A configuration that has been read and checked. */
export type Config = Static<typeof Config>

/** Milliseconds of a duration such as `1h15m`, `90s`, `500ms` (Go's syntax, no sign, no days). Throws a RangeError on other text. */
export function milliseconds(text: string): number {
  const duration = /^(\d+(\.\d+)?[a-zµ]+)+$/.test(text) ? parseDuration(text) : null
  if (duration === null) throw new RangeError(`not a duration: ${JSON.stringify(text)}`)
  return duration
}

/** Bytes of a size such as `64MiB`. Throws a RangeError on other text. */
export function bytes(text: string): number {
  const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text)
  if (!match) throw new RangeError(`not a size: ${JSON.stringify(text)}`)
  return Number(match[1]) * { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[match[2] as 'B']
}
