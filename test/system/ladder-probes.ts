/** How a connection ends: allowed, denied where it leaves, or denied where it arrives. */
export type Outcome = 'allow' | 'deny at source' | 'deny at destination'

export interface LadderProbe {
  /** `namespace/workload`. */
  readonly source: string
  readonly destination: string
  readonly protocol?: 'udp'
  readonly unprotected: Outcome
  readonly enforced: Outcome
}

const boutique: readonly (readonly [string, readonly string[]])[] = [
  ['loadgenerator', ['frontend:80']],
  [
    'frontend',
    [
      'adservice:9555',
      'cartservice:7070',
      'checkoutservice:5050',
      'currencyservice:7000',
      'productcatalogservice:3550',
      'recommendationservice:8080',
      'shippingservice:50051',
    ],
  ],
  [
    'checkoutservice',
    [
      'productcatalogservice:3550',
      'shippingservice:50051',
      'paymentservice:50051',
      'emailservice:5000',
      'currencyservice:7000',
      'cartservice:7070',
    ],
  ],
  ['recommendationservice', ['productcatalogservice:3550']],
  ['cartservice', ['redis-cart:6379']],
]

/** The sixteen calls of the shop: allowed at every stage. */
const calls: readonly LadderProbe[] = boutique.flatMap(([source, targets]) =>
  targets.map((target): LadderProbe => {
    const [name, port] = target.split(':')
    return {
      source: `default/${source}`,
      destination: `${name}.default.svc.cluster.local:${port}`,
      unprotected: 'allow',
      enforced: 'allow',
    }
  }),
)

/** The address of the bundled outside world that stands for a command-and-control server. */
const badActor = '203.0.113.66'

const row = (source: string, destination: string, unprotected: Outcome, enforced: Outcome): LadderProbe => ({
  source,
  destination,
  unprotected,
  enforced,
})

/**
 * The connections of the policy ladder: with no policy that restricts (stages 0 and 1) and with default deny enforced (stage 4).
 * Some rows look wrong and are not: five services may reach port 80 anywhere, because their rules name no destination.
 */
export const ladder: readonly LadderProbe[] = [
  ...calls,
  row('dev/centos', 'nginx-svc.dev.svc.cluster.local:80', 'allow', 'allow'),
  row('dev/netshoot', 'nginx-svc.dev.svc.cluster.local:80', 'allow', 'deny at source'),
  row('dev/centos', 'frontend.default.svc.cluster.local:80', 'allow', 'deny at source'),
  row('default/loadgenerator', 'nginx-svc.dev.svc.cluster.local:80', 'allow', 'deny at source'),
  row('dev/centos', 'www.google.com:80', 'allow', 'deny at source'),
  row('dev/centos', 'www.google.com:443', 'allow', 'deny at source'),
  row('dev/centos', 'api.twilio.com:443', 'allow', 'deny at source'),
  row('default/loadgenerator', 'www.google.com:80', 'allow', 'deny at source'),
  row('default/checkoutservice', 'www.google.com:80', 'allow', 'allow'),
  row('default/frontend', `${badActor}:8080`, 'allow', 'allow'),
  row('default/checkoutservice', `${badActor}:80`, 'allow', 'allow'),
  row('dev/centos', `${badActor}:80`, 'allow', 'deny at source'),
  row('default/loadgenerator', `${badActor}:80`, 'allow', 'deny at source'),
  row('default/emailservice', 'paymentservice.default.svc.cluster.local:50051', 'allow', 'deny at source'),
  row('default/adservice', 'redis-cart.default.svc.cluster.local:6379', 'allow', 'deny at source'),
  row('default/frontend', 'redis-cart.default.svc.cluster.local:6379', 'allow', 'deny at source'),
  row('dev/netshoot', 'paymentservice.default.svc.cluster.local:50051', 'allow', 'deny at source'),
]
