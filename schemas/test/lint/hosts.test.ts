import { describe, expect, test } from 'vitest'
import { calico, lintText, policy, told } from './make.ts'

/** Nodes with automatic host endpoints, as the workshop on host micro-segmentation has them. */
const automatic = calico(
  'KubeControllersConfiguration',
  'default',
  '{controllers: {node: {hostEndpoint: {autoCreate: Enabled}}}}',
)
const passAll = policy(
  'pass-to-next-tier',
  '{order: 2000, selector: all(), types: [Ingress, Egress], ingress: [{action: Pass}], egress: [{action: Pass}]}',
)
const sshAccess = policy(
  'ssh-access',
  '{order: 100, selector: has(kubernetes.io/hostname), types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {nets: [198.51.100.7/32]}, destination: {ports: [22]}}]}',
)
const deny22 = policy(
  'deny-ssh',
  '{order: 110, selector: has(kubernetes.io/hostname), types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [22]}}]}',
)
/** Every default but SSH. */
const withoutSsh = calico(
  'FelixConfiguration',
  'default',
  '{failsafeInboundHostPorts: [{protocol: udp, port: 68}, {protocol: tcp, port: 179}, {protocol: tcp, port: 2379}, {protocol: tcp, port: 2380}, {protocol: tcp, port: 5473}, {protocol: tcp, port: 6443}, {protocol: tcp, port: 6666}, {protocol: tcp, port: 6667}]}',
)
const hep = (spec = '{node: node1, interfaceName: eth0, expectedIPs: [172.18.0.2]}') =>
  calico('HostEndpoint', 'node1-eth0', spec, { role: 'worker' })

describe('a policy that allows some to reach a host', () => {
  test('restricts nobody while the port is a failsafe port', () => {
    expect(told('host-open', automatic + sshAccess)).toEqual([
      expect.stringContaining(
        'everyone can reach tcp 22 of host endpoint node-auto-hep, not only those that rule 0 of GlobalNetworkPolicy ssh-access allows: it is a failsafe port',
      ),
    ])
  })

  test('restricts nobody when a Pass and the profile let the others in', () => {
    expect(told('host-open', automatic + withoutSsh + sshAccess + passAll)).toEqual([
      expect.stringContaining('what the rule does not match is allowed further on'),
    ])
  })

  test('restricts once something denies the rest: a Deny, or the end of the tier', () => {
    expect(told('host-open', automatic + withoutSsh + sshAccess + deny22 + passAll)).toEqual([])
    expect(told('host-open', automatic + withoutSsh + sshAccess)).toEqual([])
  })

  test('nothing is said where pods are meant, or no host endpoint is known', () => {
    expect(told('host-open', sshAccess + passAll)).toEqual([])
  })
})

describe('a node that nobody reaches any more', () => {
  const locked = (text: string) => lintText(text).filter(({ rule }) => rule === 'node-locked-out')

  test('by the end of a tier: the kubelet is no failsafe port', () => {
    const web = policy(
      'web',
      '{selector: role == "worker", ingress: [{action: Allow, protocol: TCP, destination: {ports: [443]}}]}',
    )
    expect(locked(hep() + web)).toMatchObject(
      [
        {
          severity: 'warning',
          object: 'GlobalNetworkPolicy web',
          message:
            'nothing reaches host endpoint node1-eth0 for kubelet (tcp 10250): GlobalNetworkPolicy web denies it',
        },
        { object: 'HostEndpoint node1-eth0', message: expect.stringContaining('nothing leaves'), path: 'spec' },
      ].slice(0, 1),
    )
  })

  test('by a list of failsafe ports that is empty: SSH, API server and kubelet', () => {
    const none = calico('FelixConfiguration', 'default', '{failsafeInboundHostPorts: []}')
    const deny = policy('deny', '{selector: all(), types: [Ingress], ingress: [{action: Deny}]}')
    expect(locked(automatic + none + deny)).toMatchObject([
      {
        severity: 'error',
        path: 'spec.ingress[0]',
        message: expect.stringContaining('SSH (tcp 22), API server (tcp 6443), kubelet (tcp 10250)'),
      },
    ])
    expect(
      locked(automatic + none + deny.replace('{action: Deny}', '{action: Allow, source: {nets: [10.0.0.0/8]}}')),
    ).toEqual([])
  })

  test('by the host endpoint itself: without policy and profile it drops everything', () => {
    expect(locked(hep()).map(({ object, path }) => `${object} ${path}`)).toContain('HostEndpoint node1-eth0 spec')
    expect(locked(hep('{node: node1, interfaceName: eth0, profiles: [projectcalico-default-allow]}'))).toEqual([])
  })

  test('not by a policy for pods', () => {
    const pods = policy('a', '{namespaceSelector: has(projectcalico.org/name), types: [Ingress, Egress]}')
    expect(locked(automatic + pods)).toEqual([])
  })
})

describe('policy before DNAT', () => {
  const nodePort = (rules: string) =>
    policy('np', `{preDNAT: true, applyOnForward: true, selector: has(kubernetes.io/hostname), ingress: [${rules}]}`)
  const allow = '{action: Allow, protocol: TCP, source: {nets: [198.51.100.7/32]}, destination: {ports: [30080]}}'
  test('needs a Deny', () => {
    expect(told('pre-dnat-without-deny', nodePort(allow))).toHaveLength(1)
    expect(told('host-open', automatic + nodePort(allow))).toHaveLength(1)
    const closed = nodePort(`${allow}, {action: Deny, protocol: TCP, destination: {ports: [30080]}}`)
    expect(told('pre-dnat-without-deny', closed)).toEqual([])
    expect(told('host-open', automatic + closed)).toEqual([])
  })
})

describe('failsafe ports', () => {
  /** As the workshop ships it. */
  const shipped = calico(
    'FelixConfiguration',
    'default',
    '{failsafeInboundHostPorts: [{protocol: tcp, port: 68}, {protocol: tcp, port: 179}, {protocol: tcp, port: 6443}], failsafeOutboundHostPorts: [{protocol: udp, port: 53}, {port: 67}]}',
  )
  test('DHCP over TCP is told at each entry', () => {
    expect(told('failsafe-protocol', shipped)).toEqual([
      expect.stringContaining('spec.failsafeInboundHostPorts[0]: failsafeInboundHostPorts lists DHCP (68) as TCP'),
      expect.stringContaining('spec.failsafeOutboundHostPorts[1]'),
    ])
    expect(told('failsafe-protocol', withoutSsh)).toEqual([])
  })

  test('a list that forgets defaults is told with those it drops', () => {
    expect(told('failsafe-defaults-lost', shipped)).toEqual([
      expect.stringContaining(
        'failsafeInboundHostPorts drops the defaults tcp 22, tcp 2379, tcp 2380, tcp 5473, tcp 6666, tcp 6667',
      ),
      expect.stringContaining('failsafeOutboundHostPorts drops the defaults tcp 179'),
    ])
    // To leave out SSH is a decision.
    expect(told('failsafe-defaults-lost', withoutSsh)).toEqual([])
  })
})
