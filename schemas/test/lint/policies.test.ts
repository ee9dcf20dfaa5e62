import { describe, expect, test } from 'vitest'
import { calico, lintText, pod, policy, told } from './make.ts'

const kubeDns = pod('kube-system/coredns-1', { 'k8s-app': 'kube-dns' })
const shop = `${pod('shop/web-1', { app: 'web' })}${pod('shop/cart-1', { app: 'cart' })}${kubeDns}`

describe('tiers', () => {
  test('a tier that does not exist is told, with the one that was meant', () => {
    const text = `${calico('Tier', 'security', '{order: 100}')}${policy('security.a', '{tier: securty, selector: all()}')}`
    expect(told('tier-missing', text)).toEqual([
      '10 spec.tier: GlobalNetworkPolicy security.a names tier securty, which does not exist: did you mean security?',
    ])
    expect(told('tier-missing', policy('a.b', '{tier: anything}'))).toEqual([])
    expect(told('tier-missing', policy('a.b', '{tier: anything}'), { isWhole: true })).toHaveLength(1)
    const cluster = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } }]
    expect(told('tier-missing', policy('a.b', '{tier: anything}'), { cluster })).toHaveLength(1)
  })

  test('policies that only pass protect nothing, one that denies somebody does', () => {
    const pass = policy(
      'pass',
      '{selector: all(), types: [Ingress, Egress], ingress: [{action: Pass}], egress: [{action: Pass}]}',
    )
    expect(told('tier-protects-nothing', shop + pass)).toHaveLength(1)
    expect(told('tier-protects-nothing', pass)).toHaveLength(1)
    const deny = policy(
      'deny',
      '{order: 1, selector: app == "cart", ingress: [{action: Deny, protocol: TCP, destination: {ports: [22]}}]}',
    )
    expect(told('tier-protects-nothing', shop + pass + deny)).toEqual([])
    expect(told('tier-protects-nothing', pass + deny)).toEqual([])
    // The end of the tier denies.
    const some = policy('some', '{selector: all(), ingress: [{action: Allow, source: {selector: app == "web"}}]}')
    expect(told('tier-protects-nothing', shop + some)).toEqual([])
  })
})

describe('rules that are never reached', () => {
  const rules = (...list: string[]) => policy('p', `{selector: all(), types: [Ingress], ingress: [${list.join(', ')}]}`)
  const shadows = (text: string) => lintText(text).filter(({ rule }) => rule === 'shadowed-rule')
  const deny22 = '{action: Deny, protocol: TCP, destination: {ports: [22]}}'

  test('after a rule of the same policy that takes all they match', () => {
    const [found, ...others] = shadows(rules('{action: Allow, protocol: TCP}', deny22))
    expect(others).toEqual([])
    expect(found).toMatchObject({
      severity: 'warning',
      path: 'spec.ingress[1]',
      message: 'ingress rule 1 of GlobalNetworkPolicy p is never reached: rule 0 allows all that it matches',
    })
    expect(shadows(rules('{action: Allow, protocol: UDP}', deny22))).toEqual([])
    expect(shadows(rules('{action: Log}', deny22))).toEqual([])
    expect(shadows(rules(deny22, '{action: Allow}'))).toEqual([])
  })

  test('a domain rule after a deny of everything', () => {
    const text = `${policy('deny', '{order: 1, selector: all(), types: [Egress], egress: [{action: Deny}]}')}${policy('partner', '{order: 2, selector: all(), types: [Egress], egress: [{action: Allow, destination: {domains: ["api.example.com"]}}]}')}`
    expect(shadows(text).map(({ message }) => message)).toEqual([
      'egress rule 0 of GlobalNetworkPolicy partner (to api.example.com) is never reached: rule 0 of GlobalNetworkPolicy deny (tier default), which comes first denies all that it matches',
    ])
  })

  test('after an earlier policy only when that selects every endpoint of theirs', () => {
    const early = (selector: string) => policy('early', `{order: 1, selector: ${selector}, ingress: [{action: Deny}]}`)
    const late = policy(
      'late',
      '{order: 2, selector: app == "web", ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}',
    )
    expect(shadows(early('has(app)') + late)).toHaveLength(1)
    expect(shadows(early('has(team)') + late)).toEqual([])
    // With the workloads at hand, who is selected decides, not the words.
    expect(shadows(early('has(team)') + late + pod('shop/web-1', { app: 'web', team: 'a' }))).toHaveLength(1)
    expect(shadows(early('has(app)') + late + pod('shop/web-1', { app: 'web', team: 'a' }))).toHaveLength(1)
    const two = pod('shop/web-1', { app: 'web', team: 'a' }) + pod('shop/web-2', { app: 'web' })
    expect(shadows(early('has(team)') + late + two)).toEqual([])
    // Several policies may hide a rule between them.
    const other = policy('other', '{order: 1, selector: "!has(team)", ingress: [{action: Allow}]}')
    expect(shadows(early('has(team)') + other + late + two).map(({ object }) => object)).toEqual([
      'GlobalNetworkPolicy late',
    ])
  })

  test('an earlier tier hides what no Pass of it may let escape', () => {
    const tier = calico('Tier', 'first', '{order: 1, defaultAction: Pass}')
    const first = (...list: string[]) =>
      policy('first.a', `{tier: first, selector: all(), ingress: [${list.join(', ')}]}`)
    const late = policy('late', `{selector: all(), ingress: [${deny22}]}`)
    const ofLate = (text: string) => shadows(text).filter(({ object }) => object.endsWith('late'))
    expect(ofLate(tier + first('{action: Allow, protocol: TCP}') + late)).toHaveLength(1)
    expect(ofLate(tier + first('{action: Pass, protocol: TCP}') + late)).toEqual([])
    expect(
      ofLate(tier + first('{action: Pass, source: {selector: a == "b"}}', '{action: Allow, protocol: TCP}') + late),
    ).toEqual([])
    expect(ofLate(tier + first('{action: Pass, protocol: UDP}', '{action: Allow, protocol: TCP}') + late)).toHaveLength(
      1,
    )
  })

  test('staged policies neither hide nor are hidden, and stages of host endpoints are apart', () => {
    const all = '{order: 1, selector: all(), types: [Ingress], ingress: [{action: Deny}]}'
    const late = policy('late', `{order: 2, selector: all(), ingress: [${deny22}]}`)
    expect(shadows(calico('StagedGlobalNetworkPolicy', 'early', all) + late)).toEqual([])
    const preDnat = policy('early', all.replace('{', '{preDNAT: true, applyOnForward: true, '))
    expect(shadows(preDnat + late)).toEqual([])
    const forwarded = policy('late', `{order: 2, applyOnForward: true, selector: all(), ingress: [${deny22}]}`)
    expect(shadows(policy('early', all) + forwarded)).toEqual([])
  })

  test('a rule of a Kubernetes policy counts as hidden when all that it became is', () => {
    const kubernetes = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]}
`
    const only = (rule: string) => policy('early', `{order: 1, selector: all(), ingress: [${rule}]}`)
    expect(shadows(only('{action: Deny, source: {nets: [10.0.0.0/8]}}') + kubernetes)).toEqual([])
    expect(shadows(only('{action: Deny}') + kubernetes)).toHaveLength(1)
  })
})

describe('selectors', () => {
  test('a misspelt value is told with the pods that were meant', () => {
    const text =
      shop +
      policy('a', '{selector: app == "carrt", ingress: [{action: Allow, source: {selector: app == "web"}}]}', 'shop')
    expect(told('selector-typo', text)).toEqual([
      expect.stringContaining(
        'spec.selector: NetworkPolicy shop/a selects no endpoint: the label app of shop/cart-1 is cart, not carrt',
      ),
    ])
    expect(told('selects-nothing', text)).toEqual([])
  })

  test('a misspelt label name, a namespace label, a service account label, each at its field', () => {
    const account = `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: payer, namespace: shop, labels: {PCI: "true"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {zone: trusted}}
${pod('shop/pay-1', { app: 'pay' }, { serviceAccountName: 'payer' })}`
    const rule = (peer: string) => policy('a', `{selector: app == "web", ingress: [{action: Allow, source: ${peer}}]}`)
    const typo = (text: string) => told('selector-typo', shop + account + text).map((line) => line.replace(/^\d+ /, ''))
    expect(typo(rule('{selector: ap == "cart"}'))).toEqual([
      'spec.ingress[0].source.selector: the source of allow rule 0 of GlobalNetworkPolicy a matches nothing: shop/cart-1 has the label app, not ap',
    ])
    expect(typo(rule('{namespaceSelector: zone == "trustd"}'))).toEqual([
      expect.stringContaining('spec.ingress[0].source.namespaceSelector: '),
    ])
    expect(typo(rule(`{serviceAccounts: {selector: 'PCI == "ture"'}}`))).toEqual([
      expect.stringContaining('spec.ingress[0].source.serviceAccounts: '),
    ])
    expect(typo(policy('a', `{serviceAccountSelector: 'PCI == "ture"'}`))).toEqual([
      expect.stringContaining('spec.serviceAccountSelector: '),
    ])
  })

  test('what is only different is no slip of the pen', () => {
    const text = shop + policy('a', '{selector: quarantine == "true", types: [Ingress]}')
    expect(told('selector-typo', text)).toEqual([])
    expect(told('selects-nothing', text)).toHaveLength(1)
    expect(told('selects-nothing', policy('a', '{selector: quarantine == "true"}'))).toEqual([])
    const peer =
      shop + policy('b', '{selector: app == "web", ingress: [{action: Allow, source: {selector: role == "admin"}}]}')
    expect(told('peer-matches-nothing', peer)).toHaveLength(1)
  })

  test('workloads that are not running yet count by their pods', () => {
    const deployment = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ledger, namespace: shop}
spec: {template: {metadata: {labels: {app: ledger}}, spec: {containers: []}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}}}}}
`
    for (const app of ['ledger', 'nightly'])
      expect(told('selects-nothing', shop + deployment + policy('a', `{selector: app == "${app}"}`))).toEqual([])
  })

  test('a Deny by what a label is not tells whom it hits besides', () => {
    const set = calico('GlobalNetworkSet', 'public', '{nets: [0.0.0.0/1]}', { type: 'public' })
    const deny = (peer: string, action = 'Deny') =>
      policy('a', `{selector: app == "web", types: [Egress], egress: [{action: ${action}, destination: ${peer}}]}`)
    expect(told('negated-label', shop + set + deny(`{selector: 'PCI != "true"'}`))).toEqual([
      expect.stringMatching(
        /also matches 4 objects without the label PCI: shop\/web-1, shop\/cart-1, kube-system\/coredns-1 and 1 more$/,
      ),
    ])
    expect(told('negated-label', shop + deny(`{selector: 'has(PCI) && PCI != "true"'}`))).toEqual([])
    expect(told('negated-label', shop + deny(`{selector: 'PCI == "false"'}`))).toEqual([])
    expect(told('negated-label', shop + deny(`{selector: 'PCI != "true"'}`, 'Allow'))).toEqual([])
  })
})

describe('peers', () => {
  const egress = (rule: string) => policy('a', `{selector: app == "web", types: [Egress], egress: [${rule}]}`)
  const found = (text: string) => lintText(text).filter(({ rule }) => rule === 'allow-to-anywhere')
  test('ports without a destination are a warning, a rule that says nothing a note, DNS and ICMP neither', () => {
    expect(found(egress('{action: Allow, protocol: TCP, destination: {ports: [443]}}'))).toMatchObject([
      {
        severity: 'warning',
        path: 'spec.egress[0].destination',
        message: expect.stringContaining('TCP 443 to anywhere'),
      },
    ])
    expect(found(egress('{action: Allow}'))).toMatchObject([{ severity: 'info' }])
    for (const rule of [
      '{action: Deny, protocol: TCP, destination: {ports: [443]}}',
      '{action: Allow, protocol: UDP, destination: {ports: [53]}}',
      '{action: Allow, protocol: ICMP}',
      '{action: Allow, protocol: TCP, destination: {nets: [0.0.0.0/0], ports: [443]}}',
      '{action: Allow, protocol: TCP, destination: {namespaceSelector: all(), ports: [443]}}',
      '{action: Allow, protocol: TCP, destination: {notNets: [10.0.0.0/8], ports: [443]}}',
      '{action: Allow, protocol: TCP, destination: {domains: [a.example.com], ports: [443]}}',
      '{action: Allow, destination: {services: {name: a, namespace: b}}}',
    ])
      expect(found(egress(rule)), rule).toEqual([])
  })

  test('a Kubernetes rule without to is the same', () => {
    const text = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}, {port: 80}]}]}
`
    expect(found(text)).toMatchObject([{ path: 'spec.egress[0]', line: 5 }])
  })
})

describe('DNS', () => {
  const dnsOver = (...protocols: string[]) =>
    protocols
      .map(
        (protocol) =>
          `{action: Allow, protocol: ${protocol}, destination: {selector: k8s-app == "kube-dns", ports: [53]}}`,
      )
      .join(', ')
  const egress = (rules: string, name = 'a', rest = '') =>
    policy(name, `{selector: all(), types: [Egress], egress: [${rules}]${rest}}`)

  test('UDP alone is told, unless TCP is allowed too, here or elsewhere', () => {
    expect(told('udp-only-dns', egress(dnsOver('UDP')))).toHaveLength(1)
    expect(told('udp-only-dns', egress(dnsOver('UDP', 'TCP')))).toEqual([])
    expect(told('udp-only-dns', egress(dnsOver('UDP')) + egress('{action: Allow, protocol: TCP}', 'b'))).toEqual([])
    expect(told('udp-only-dns', egress('{action: Allow, protocol: UDP, destination: {ports: [123]}}'))).toEqual([])
  })

  test('a default deny without DNS is told with the endpoints it leaves without names', () => {
    const web = policy(
      'web',
      '{selector: app == "web", types: [Egress], egress: [{action: Allow, destination: {selector: app == "cart"}}]}',
    )
    expect(told('dns-blocked', shop + web)).toEqual([
      expect.stringContaining('leaves 1 endpoint (shop/web-1) without DNS: it denies what no rule allows'),
    ])
    expect(told('dns-blocked', shop + web + egress(dnsOver('UDP'), 'dns', ', order: 1'))).toEqual([])
    expect(told('dns-blocked', web)).toHaveLength(1)
    expect(told('dns-blocked', web + egress(dnsOver('UDP'), 'dns'))).toEqual([])
    const deny = policy('a-default-deny', '{namespaceSelector: has(projectcalico.org/name), types: [Ingress, Egress]}')
    expect(told('dns-blocked', shop + web + deny)).toEqual([
      expect.stringContaining('GlobalNetworkPolicy a-default-deny leaves 2 endpoints'),
    ])
    const nodeLocal = egress(
      '{action: Allow, protocol: UDP, destination: {nets: [169.254.20.10/32], ports: [53]}}',
      'dns',
    )
    expect(told('dns-blocked', shop + web + nodeLocal)).toEqual([])
  })

  test('a Deny by a label that name servers do not have cuts names off (the PCI allow list without its Passes)', () => {
    const pci = (passes: string, last: 'Allow' | 'Pass') =>
      policy(
        'pci',
        `{selector: app == "web", types: [Egress], egress: [${passes}{action: Deny, destination: {selector: 'PCI != "true"'}}, {action: ${last}}]}`,
      )
    const names = '{action: Pass, destination: {selector: k8s-app == "kube-dns"}}, '
    for (const last of ['Allow', 'Pass'] as const) {
      expect(told('dns-blocked', shop + pci('', last))).toEqual([expect.stringContaining('it denies it by rule 0')])
      expect(told('dns-blocked', shop + pci(names, last))).toEqual([])
    }
  })

  test('a quarantine is meant to', () => {
    const both =
      '{types: [Ingress, Egress], ingress: [{action: Log}, {action: Deny}], egress: [{action: Log}, {action: Deny}]'
    const infected = pod('shop/web-9', { app: 'web', quarantine: 'true' })
    expect(told('dns-blocked', shop + infected + policy('q', `${both}, selector: quarantine == "true"}`))).toEqual([])
    expect(told('dns-blocked', shop + infected + policy('q', `${both}, selector: all()}`))).toHaveLength(1)
  })
})

describe('domains and network sets', () => {
  test('a wildcard without its apex is told once for each list that lacks it', () => {
    const rule = (domains: string) =>
      policy('a', `{selector: all(), types: [Egress], egress: [{action: Allow, destination: {domains: ${domains}}}]}`)
    expect(told('wildcard-apex', rule('["*.google.com", a.example.com]'))).toEqual([
      expect.stringContaining('spec.egress[0].destination.domains[0]: *.google.com does not match google.com'),
    ])
    expect(told('wildcard-apex', rule('["*.google.com", google.com]'))).toEqual([])
    expect(told('wildcard-apex', rule('["update.*.example.com", "*.com"]'))).toEqual([])
    expect(told('wildcard-apex', calico('GlobalNetworkSet', 's', '{allowedEgressDomains: ["*.x.com"]}'))).toHaveLength(
      1,
    )
  })

  test('domains of a set are ignored by Deny and by ingress', () => {
    const set = calico('GlobalNetworkSet', 's', '{allowedEgressDomains: [bad.example.com]}', { type: 'bad' })
    const use = (direction: string, action: string, side: string) =>
      policy(
        'a',
        `{selector: all(), types: [${direction}], ${direction.toLowerCase()}: [{action: ${action}, ${side}: {selector: type == "bad"}}]}`,
      )
    expect(told('domains-ignored', set + use('Egress', 'Deny', 'destination'))).toHaveLength(1)
    expect(told('domains-ignored', set + use('Ingress', 'Allow', 'source'))).toHaveLength(1)
    expect(told('domains-ignored', set + use('Egress', 'Allow', 'destination'))).toEqual([])
    const mixed = set.replace('{allowedEgressDomains', '{nets: [192.0.2.1/32], allowedEgressDomains')
    expect(told('domains-ignored', mixed + use('Egress', 'Deny', 'destination'))).toEqual([])
  })

  test('a set that no rule selects is told, also when the rule looks into its own namespace only', () => {
    const set = calico('GlobalNetworkSet', 's', '{nets: [192.0.2.1/32]}', { type: 'bad' })
    const use = (peer: string) =>
      policy('a', `{types: [Egress], egress: [{action: Allow, destination: ${peer}}]}`, 'shop')
    expect(told('unused-network-set', set + use('{selector: type == "bad"}'))).toHaveLength(1)
    expect(told('unused-network-set', set + use('{selector: type == "bad", namespaceSelector: global()}'))).toEqual([])
    expect(told('unused-network-set', set)).toEqual([])
  })
})

describe('ports of services', () => {
  const email = `${pod('shop/email-1', { app: 'email' }, { containers: [{ name: 'a', ports: [{ containerPort: 8080 }] }] })}---
apiVersion: v1
kind: Service
metadata: {name: email, namespace: shop}
spec: {selector: {app: email}, ports: [{port: 5000, targetPort: 8080}]}
`
  const to = (ports: string) =>
    policy(
      'a',
      `{selector: app == "web", types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {selector: app == "email", ports: ${ports}}}]}`,
    )
  test('the port of the service where that of the pods is judged', () => {
    expect(told('service-port', shop + email + to('[5000]'))).toEqual([
      expect.stringContaining(
        'spec.egress[0].destination.ports[0]: GlobalNetworkPolicy a allows port 5000 of the service email, whose pods listen on 8080',
      ),
    ])
    for (const ports of ['[8080]', '[5000, 8080]', '["1:9000"]', '[7000]'])
      expect(told('service-port', shop + email + to(ports)), ports).toEqual([])
    const ingress = policy(
      'b',
      '{selector: app == "email", ingress: [{action: Allow, protocol: TCP, source: {selector: app == "web"}, destination: {ports: [5000]}}]}',
      'shop',
    )
    expect(told('service-port', shop + email + ingress)).toHaveLength(1)
    expect(
      told('service-port', shop + email.replace('containerPort: 8080', 'containerPort: 5000') + to('[8080]')),
    ).toEqual([])
  })
})

test('a staged copy of what is in force is told; one that changes it is what staging is for', () => {
  const spec = '{selector: all(), types: [Ingress], ingress: [{action: Allow, source: {selector: a == "b"}}]}'
  const staged = calico('StagedGlobalNetworkPolicy', 'a', spec)
  expect(told('staged-leftover', policy('a', spec) + staged)).toHaveLength(1)
  expect(told('staged-leftover', policy('a', spec.replace('a ==', 'c ==')) + staged)).toEqual([])
  expect(told('staged-leftover', staged)).toEqual([])
  const removal = calico('StagedGlobalNetworkPolicy', 'a', '{stagedAction: Delete}')
  expect(told('staged-leftover', removal, { isWhole: true })).toHaveLength(1)
  expect(told('staged-leftover', removal)).toEqual([])
})
