import { expect, test } from 'vitest'
import { lint } from '../../src/lint/lint.ts'
import { parseResources } from '../../src/resources/parse.ts'
import { calico, lintText, pod, policy } from './make.ts'

/** A cluster whose policies do what they say: nobody has anything to be told. */
const names =
  '{selector: k8s-app == "kube-dns", namespaceSelector: projectcalico.org/name == "kube-system", ports: [53]}'
const cluster = `---
apiVersion: v1
kind: Namespace
metadata: {name: pay, labels: {team: pay}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ledger, namespace: pay, labels: {pci: "true"}}
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: pay}
spec: {selector: {app: ledger}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: pay}
spec: {template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, ports: [{containerPort: 8443}]}]}}}
${pod('pay/ledger-1', { app: 'ledger' }, { serviceAccountName: 'ledger', containers: [{ name: 'l', ports: [{ name: 'http', containerPort: 8080 }] }] })}
${pod('kube-system/coredns-1', { 'k8s-app': 'kube-dns' })}
${calico('Tier', 'security', '{order: 100}')}
${calico('Tier', 'platform', '{order: 200}')}
${calico('GlobalNetworkSet', 'bad-addresses', '{nets: [192.0.2.0/24, 198.51.100.66/32]}', { reputation: 'bad' })}
${calico('GlobalNetworkSet', 'partners', '{allowedEgressDomains: [partner.example.com, "*.partner.example.com"]}', { type: 'partner' })}
${policy('security.block-bad', '{tier: security, order: 10, namespaceSelector: has(projectcalico.org/name), types: [Egress], egress: [{action: Deny, destination: {selector: reputation == "bad"}}, {action: Pass}]}')}
${policy('platform.names', `{tier: platform, order: 10, namespaceSelector: has(projectcalico.org/name), types: [Egress], egress: [{action: Allow, protocol: UDP, destination: ${names}}, {action: Allow, protocol: TCP, destination: ${names}}, {action: Pass}]}`)}
${policy('api', '{order: 10, selector: app == "api", types: [Ingress, Egress], ingress: [{action: Allow, protocol: TCP, source: {nets: [0.0.0.0/0]}, destination: {ports: [8443]}}], egress: [{action: Allow, protocol: TCP, destination: {selector: app == "ledger", ports: [8080]}}]}', 'pay')}
${policy('ledger', '{order: 20, serviceAccountSelector: pci == "true", types: [Ingress, Egress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == "api"}, destination: {ports: [http]}}], egress: [{action: Allow, protocol: TCP, destination: {selector: type == "partner", namespaceSelector: global(), ports: [443]}}]}', 'pay')}
${policy('default-deny', '{order: 5000, namespaceSelector: has(projectcalico.org/name) && projectcalico.org/name != "kube-system", types: [Ingress, Egress]}')}
${policy('nodes', '{order: 10, selector: role == "worker", types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {nets: [10.0.0.0/8]}, destination: {ports: [10250]}}, {action: Allow, protocol: TCP, source: {nets: [10.9.0.0/16]}, destination: {ports: [443]}}]}')}
${calico('HostEndpoint', 'node1-eth0', '{node: node1, interfaceName: eth0, expectedIPs: [10.0.0.1], profiles: [projectcalico-default-allow]}', { role: 'worker' })}
${calico('StagedGlobalNetworkPolicy', 'api-next', '{selector: app == "api", types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == "ledger"}}]}')}
${calico('FelixConfiguration', 'default', '{flowLogsFlushInterval: 15s}')}
${calico('GlobalAlert', 'denied', "{description: 'Something was denied', summary: '${source_name_aggr} was denied', severity: 50, dataSet: flows, period: 1m, lookback: 2m, query: action = deny, aggregateBy: [source_name_aggr]}")}
${calico('GlobalReport', 'daily', '{reportType: policy-audit, schedule: 0 0 * * *}')}
`

test('clean policies give no finding of any severity, neither as files nor as a cluster', () => {
  expect(lintText(cluster)).toEqual([])
  expect(lintText(cluster, { isWhole: true })).toEqual([])
})

test('every one of them alone, held against the cluster it lives in, gives none either', () => {
  const { resources } = parseResources(cluster)
  expect(resources.length).toBeGreaterThan(20)
  for (const subject of resources) {
    const around = resources.filter((other) => other !== subject).map(({ resource }) => resource)
    expect(lint([subject], { cluster: around })).toEqual([])
  }
})
