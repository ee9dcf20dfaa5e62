import { choice, ips, json, keyword, keywords, map, maps, optional, port, text, time, word } from './column.ts'
import { common, defineEvent } from './event.ts'

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']

/** One request to the API, in the form of an audit.k8s.io/v1 Event whose times are unix milliseconds (spec 4.5). */
export interface AuditEvent {
  cluster: string
  /** Node that reported the event. */
  host: string
  simulated?: boolean
  /** The log it came from: ee_audit (Calico resources) or kube_audit (Kubernetes). */
  name: 'ee_audit' | 'kube_audit'
  apiVersion?: string
  kind?: string
  auditID: string
  level: 'None' | 'Metadata' | 'Request' | 'RequestResponse'
  stage: 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic'
  verb: string
  requestURI: string
  userAgent?: string
  user: { username: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> }
  impersonatedUser?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> }
  sourceIPs?: string[]
  objectRef?: {
    resource?: string
    namespace?: string
    name?: string
    uid?: string
    apiGroup?: string
    apiVersion?: string
    resourceVersion?: string
    subresource?: string
  }
  responseStatus?: { code?: number; status?: string; message?: string; reason?: string }
  requestObject?: unknown
  responseObject?: unknown
  /** Unix milliseconds. */
  requestReceivedTimestamp?: number
  /** Unix milliseconds. */
  stageTimestamp: number
  annotations?: Record<string, string>
}

/**
 * The columns are flat, the JSON form is nested: each column's `path` says where its value lies.
 * Queries name the path (`objectRef.resource`) or the column (`objectRef_resource`).
 */
export const audit = defineEvent({
  kind: 'audit',
  version: 1,
  table: 'audit',
  dataSet: 'audit',
  timeColumn: 'stageTimestamp',
  retentionDays: 91,
  orderBy: ['cluster', 'toStartOfHour(stageTimestamp)', 'objectRef_resource', 'objectRef_namespace', 'stageTimestamp'],
  doc: 'requests to the API: who changed what, when and to what',
  columns: {
    ...common,
    name: choice(['ee_audit', 'kube_audit'], 'log that it came from: Calico resources or Kubernetes'),
    apiVersion: optional(keyword('audit.k8s.io/v1')),
    kind: optional(keyword('Event')),
    auditID: text('identity of the request'),
    level: choice(['None', 'Metadata', 'Request', 'RequestResponse'], 'how much of the request is kept'),
    stage: choice(['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'], 'stage of the request'),
    verb: word(verbs, 'verb of the request'),
    requestURI: text('URI of the request'),
    userAgent: optional(keyword('user agent of the client')),
    user_username: keyword('who asked', { path: 'user.username' }),
    user_uid: optional(keyword('identity of who asked', { path: 'user.uid' })),
    user_groups: optional(keywords('groups of who asked', { path: 'user.groups' })),
    user_extra: optional(maps('what else authentication said', { path: 'user.extra' })),
    impersonatedUser_username: optional(keyword('on whose behalf', { path: 'impersonatedUser.username' })),
    impersonatedUser_uid: optional(keyword('identity of on whose behalf', { path: 'impersonatedUser.uid' })),
    impersonatedUser_groups: optional(keywords('groups of on whose behalf', { path: 'impersonatedUser.groups' })),
    impersonatedUser_extra: optional(maps('what else was impersonated', { path: 'impersonatedUser.extra' })),
    sourceIPs: optional(ips('addresses of the client and of proxies')),
    objectRef_resource: optional(keyword('plural of the object', { path: 'objectRef.resource' })),
    objectRef_namespace: optional(keyword('namespace of the object', { path: 'objectRef.namespace' })),
    objectRef_name: optional(text('name of the object', { path: 'objectRef.name' })),
    objectRef_uid: optional(text('uid of the object', { path: 'objectRef.uid' })),
    objectRef_apiGroup: optional(keyword('group of the object', { path: 'objectRef.apiGroup' })),
    objectRef_apiVersion: optional(keyword('version of the object', { path: 'objectRef.apiVersion' })),
    objectRef_resourceVersion: optional(
      text('resourceVersion of the object', { path: 'objectRef.resourceVersion', numeric: true }),
    ),
    objectRef_subresource: optional(keyword('subresource asked for', { path: 'objectRef.subresource' })),
    responseStatus_code: optional(port('HTTP status of the answer', { path: 'responseStatus.code' })),
    responseStatus_status: optional(keyword('Success or Failure', { path: 'responseStatus.status' })),
    responseStatus_message: optional(text('message of the answer', { path: 'responseStatus.message' })),
    responseStatus_reason: optional(keyword('reason of the answer', { path: 'responseStatus.reason' })),
    requestObject: optional(json('the object sent')),
    responseObject: optional(json('the object answered')),
    requestReceivedTimestamp: optional(time('when the request arrived')),
    stageTimestamp: time('when the stage was reached'),
    annotations: optional(map('what admission and authorization noted')),
  },
})
