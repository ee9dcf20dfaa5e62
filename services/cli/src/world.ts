import { MargayError, messageOf } from '@margay/kit/errors'
import { createCluster, type Problem, parseResources, type Resource, type World } from '@margay/schemas'
import type { Client } from './client.ts'
import { type InputFile, readInput } from './input.ts'

/** Everything that has a say about a connection, and what the ends of one are found by. */
const relevant: readonly string[] = [
  'tiers',
  'networkpolicies.projectcalico.org',
  'globalnetworkpolicies',
  'stagednetworkpolicies',
  'stagedglobalnetworkpolicies',
  'stagedkubernetesnetworkpolicies',
  'networkpolicies.networking.k8s.io',
  'clusternetworkpolicies',
  'adminnetworkpolicies',
  'baselineadminnetworkpolicies',
  'networksets',
  'globalnetworksets',
  'hostendpoints',
  'workloadendpoints',
  'profiles',
  'felixconfigurations',
  'namespaces',
  'nodes',
  'pods',
  'serviceaccounts',
  'services',
  'endpoints',
  'endpointslices',
]

/** The world as the API knows it. */
export async function worldOfApi(client: Client): Promise<World> {
  const lists = await Promise.all(
    relevant.map((name) => client.call<{ items: Resource[] }>('GET', `/v1/resources/${name}`)),
  )
  return worldOf(lists.flatMap(({ items }) => items))
}

/** The world that files hold. Throws FILE_UNREADABLE, and RESOURCE_INVALID with the place of every error. */
export function worldOfFiles(paths: readonly string[]): World {
  return worldOf(resourcesOf(readInput(paths)))
}

/** The resources in files. Throws RESOURCE_INVALID with the place of every error. */
export function resourcesOf(files: readonly InputFile[]): Resource[] {
  const parsed = files.map(({ name, text }) => parseResources(text, name))
  const errors = parsed.flatMap(({ problems }) => problems).filter(({ severity }) => severity === 'error')
  if (errors.length > 0)
    throw new MargayError('RESOURCE_INVALID', `not valid:\n${errors.map((error) => `  ${lineOf(error)}`).join('\n')}`)
  return parsed.flatMap(({ resources }) => resources.map(({ resource }) => resource))
}

const lineOf = ({ file, line, path, message, rule }: Problem) =>
  `${file}:${line}: ${path}${path === '' ? '' : ': '}${message} (${rule})`

/** The world that resources make. Throws RESOURCE_INVALID when one cannot be compiled. */
export function worldOf(resources: readonly Resource[]): World {
  const cluster = createCluster()
  for (const resource of resources) {
    try {
      cluster.apply(resource)
    } catch (cause) {
      throw new MargayError('RESOURCE_INVALID', `${resource.kind} ${resource.metadata.name}: ${messageOf(cause)}`, {
        cause,
      })
    }
  }
  return { cluster, resources }
}
