import { createCluster } from '@margay/schemas'
import { createMemoryDataplane } from '../../src/dataplane/memory.ts'
import { programming } from './programming.ts'
import { type DataplaneFixture, dataplaneSuite } from './suite.ts'

const pods = [
  { name: 'a', ips: ['10.77.0.1', 'fd77::1'] },
  { name: 'b', ips: ['10.77.0.2', 'fd77::2'] },
]

dataplaneSuite(
  'memory',
  async (): Promise<DataplaneFixture> => {
    const model = createCluster()
    const refusals = new Map<string, string>()
    const dataplane = createMemoryDataplane(model, { refuses: (policy) => refusals.get(policy) ?? null })
    return {
      dataplane,
      model,
      pods,
      program: programming(dataplane, model, (ip) => `cali${ip}`),
      connects: async (...ports) =>
        ports.map(
          (port) =>
            dataplane.judge({
              sourceIp: '10.77.0.1',
              destinationIp: '10.77.0.2',
              protocol: 6,
              sourcePort: 40000,
              destinationPort: port,
            }).verdict === 'allow',
        ),
      refuse(policy, reason) {
        if (reason === null) refusals.delete(policy)
        else refusals.set(policy, reason)
      },
      harm: null,
      close: dataplane.close,
    }
  },
  5000,
)
