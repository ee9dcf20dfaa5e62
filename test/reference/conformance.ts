import { vectors } from '../../schemas/test/conformance/vectors.ts'

/** What the sections are about that vectors are for. */
const titles: Readonly<Record<string, string>> = {
  '1.4.1': 'queries: grammar',
  '1.4.2': 'queries: SQL',
  '5.1': 'tiers',
  '5.2.1': 'policies: spec, order, what they select',
  '5.2.2': 'policies: types that follow from the rules',
  '5.2.3': 'policies: names',
  '5.3': 'rules: actions, protocol, IP version, ICMP',
  '5.3.1': 'rules: nets, selectors and their scope, accounts, services, domains',
  '5.3.2': 'rules: ports, ranges, named ports',
  '5.3.3': 'rules: HTTP',
  '5.4': 'evaluation: both ends, tiers, profiles, hosts, services',
  '5.6': 'network sets',
  '5.7': 'host endpoints: who selects them',
  '5.7.1': 'host endpoints: fields',
  '5.7.2': 'host endpoints: failsafe ports',
  '5.7.3': 'host endpoints: untracked, pre-DNAT, normal, forward',
  '5.7.4': 'host endpoints: deny lists',
  '5.7.5': 'host endpoints: automatic ones',
  '5.8': 'profiles, labels, what is an endpoint',
  '5.9': 'staged policies',
  '5.10': 'selectors',
  '5.11': 'policies of Kubernetes',
  '5.12': 'domain names',
  '5.13': 'checklist of admission',
  '5.14': 'an example',
  '14.1.1': 'selectors: tokens',
  '14.1.2': 'selectors: grammar',
  '14.1.3': 'selectors: meaning',
  '14.1.4': 'selectors: canonical form',
  '14.2.1': 'labels: objects of Kubernetes',
  '14.2.2': 'labels: inheritance',
  '14.2.3': 'labels: flattening of rules',
  '14.2.4': 'services in rules',
  '14.3': 'which policies, in which order',
  '14.4.1': 'packets: order for one endpoint',
  '14.4.2': 'packets: rule match',
  '14.4.3': 'packets: where others differ at flow time',
  '14.4.4': 'packets: staged policies',
  '14.5.1': 'hosts: failsafe ports',
  '14.5.2': 'hosts: hooks and sets',
  '14.7.1': 'flows: whose the end of a tier is',
  '14.7.3': 'flows: traces',
  '14.9': 'validation: points that surprise',
  '14.10': 'conversion in short',
  '14.12': 'alerts and reports',
  '14.14': 'where copying would be wrong',
}

/** Sections that no answer about one resource or one packet can show, and what shows them. */
const elsewhere: readonly (readonly [string, string, string])[] = [
  ['5.1', 'tiers that cannot be deleted, policies in tiers that are not there', 'services/api/test'],
  ['5.5', 'established connections outlive a change of policy', 'services/agent/test, in a real kernel'],
  ['5.7.5', 'the controller that makes host endpoints', 'nothing: there is none yet'],
  [
    '5.12',
    'how DNS answers reach the kernel: servers trusted, times to live, the first packet',
    'services/agent/test/dns',
  ],
  ['14.1.5', 'label restrictions, an optimisation', 'schemas/test/policy/selector.test.ts'],
  ['14.6', 'rendering to nftables', 'services/agent/test/nftables'],
  ['14.7.2', 'aggregation of flows', 'schemas/test/flows'],
  ['14.7.4', 'pending traces of live flows', 'schemas/test/flows, services/agent/test'],
  ['14.11', 'rights by tier', 'schemas/test/rights, services/api/test'],
]

const columns = ['selector', 'resource', 'policy', 'kubernetes', 'query'] as const

/** The index of the conformance vectors: how many for each section, counted. */
export function conformanceReference(): string {
  const sections = [...new Set(vectors.map(({ section }) => section))].sort(bySection)
  const untitled = sections.filter((section) => titles[section] === undefined)
  if (untitled.length > 0) throw new Error(`sections without a title: ${untitled.join(', ')}`)
  const row = (section: string) => {
    const counts = columns.map((ask) => vectors.filter((one) => one.section === section && one.ask === ask).length)
    const total = counts.reduce((sum, count) => sum + count, 0)
    return `| ${section} | ${titles[section]} | ${counts.map((count) => count || '').join(' | ')} | ${total} |`
  }
  const totals = columns.map((ask) => vectors.filter((one) => one.ask === ask).length)
  return `# Conformance vectors

${vectors.length} vectors say what selectors, resources, policies, conversions and queries mean: one a line in [vectors](vectors), the input and beside it
what the answer must hold, by section of the specification. They are asked of the functions behind \`margay eval\`
([CONFORMANCE.md](../../CONFORMANCE.md)). To run them elsewhere:

\`\`\`
npx tsx schemas/test/conformance/vectors.ts policy > policy.ndjson      each as a line of \`margay eval policy\`, with \`expected\` beside the input
margay eval policy < policy.ndjson
\`\`\`

How to read a line: \`resource\`, \`with\` and \`given\` hold resources in short (\`{np: shop/web, selector: …}\` is a NetworkPolicy \`web\` in \`shop\`; the rest is its
spec), \`in\` and \`out\` the only ingress rule for \`shop/web\` and egress rule of \`shop/client\` (\`gin\`, \`gout\`: in a global policy), \`probe\` the connection. Of the
answer: \`is\` the verdict, \`src\` and \`dst\` the egress and ingress traces, \`pending\`, \`psrc\`, \`pdst\` the same with staged policies as if enforced.
[short-forms.ts](short-forms.ts) reads them; [worlds.yaml](worlds.yaml) has the clusters they share.

| Section | About | ${columns.join(' | ')} | all |
|---|---|${columns.map(() => '---|').join('')}---|
${sections.map(row).join('\n')}
| | **all** | ${totals.join(' | ')} | ${vectors.length} |

What vectors cannot show is shown elsewhere:

| Section | About | Shown by |
|---|---|---|
${elsewhere.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}
`
}

/** By their numbers: 5.9 before 5.10. */
function bySection(a: string, b: string): number {
  const [left, right] = [a, b].map((section) => section.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const order = (left[i] ?? -1) - (right[i] ?? -1)
    if (order !== 0) return order
  }
  return 0
}
