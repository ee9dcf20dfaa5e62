import { Type } from 'typebox'
import { defineKind } from '../kind.ts'
import { pathName } from '../name.ts'
import type { Kind } from '../resource.ts'

/** Objects that Kubernetes itself checks: Margay reads a few of their members and keeps the rest as it is. */
function kubernetesObject(
  kind: string,
  plural: string,
  apiVersion: string,
  { namespaced = true, shortNames = [] as readonly string[] } = {},
): Kind {
  return defineKind({
    kind,
    plural,
    shortNames,
    apiVersions: [apiVersion],
    namespaced,
    members: Type.Object({}, { additionalProperties: true }),
    nameRule: pathName,
  })
}

export const namespace = kubernetesObject('Namespace', 'namespaces', 'v1', { namespaced: false, shortNames: ['ns'] })
export const node = kubernetesObject('Node', 'nodes', 'v1', { namespaced: false, shortNames: ['no'] })
export const serviceAccount = kubernetesObject('ServiceAccount', 'serviceaccounts', 'v1', { shortNames: ['sa'] })
export const endpoints = kubernetesObject('Endpoints', 'endpoints', 'v1', { shortNames: ['ep'] })
export const endpointSlice = kubernetesObject('EndpointSlice', 'endpointslices', 'discovery.k8s.io/v1')
export const configMap = kubernetesObject('ConfigMap', 'configmaps', 'v1', { shortNames: ['cm'] })
export const secret = kubernetesObject('Secret', 'secrets', 'v1')
export const deployment = kubernetesObject('Deployment', 'deployments', 'apps/v1', { shortNames: ['deploy'] })
export const replicaSet = kubernetesObject('ReplicaSet', 'replicasets', 'apps/v1', { shortNames: ['rs'] })
export const statefulSet = kubernetesObject('StatefulSet', 'statefulsets', 'apps/v1', { shortNames: ['sts'] })
export const daemonSet = kubernetesObject('DaemonSet', 'daemonsets', 'apps/v1', { shortNames: ['ds'] })
export const job = kubernetesObject('Job', 'jobs', 'batch/v1')
export const cronJob = kubernetesObject('CronJob', 'cronjobs', 'batch/v1', { shortNames: ['cj'] })
