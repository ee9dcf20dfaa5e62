import { type Endpoint, type GlobalReportSpec, type Labels, parseSelector } from '@margay/schemas'

/** The `endpoints` of a GlobalReport: three selections, all of which must hold; what is not given holds for all. */
export type EndpointsSelection = NonNullable<GlobalReportSpec['endpoints']>

const namespaceLabel = 'projectcalico.org/namespace'
const accountLabel = 'projectcalico.org/serviceaccount'
/** Prefixes under which an endpoint carries the labels of its namespace and of its service account. */
const prefixes = { namespace: 'pcns.', account: 'pcsa.' } as const

/** Makes the test whether an endpoint is in the scope of a report. Throws SelectorError. */
export function createScope(selection: EndpointsSelection): (endpoint: Endpoint) => boolean {
  const own = selectorTest(selection.selector)
  const namespace = namesAndLabels(selection.namespaces, namespaceLabel, prefixes.namespace)
  const account = namesAndLabels(selection.serviceAccounts, accountLabel, prefixes.account)
  return ({ labels }) => own(labels) && namespace(labels) && account(labels)
}

type Test = (labels: Labels) => boolean

function selectorTest(text: string | undefined): Test {
  if (text === undefined || text === '') return () => true
  const selector = parseSelector(text)
  return (labels) => selector.matches(labels)
}

function namesAndLabels(match: EndpointsSelection['namespaces'], nameLabel: string, prefix: string): Test {
  if (match === undefined) return () => true
  const { names = [] } = match
  const test = selectorTest(match.selector)
  return (labels) => {
    const name = labels[nameLabel]
    if (name === undefined) return false
    return (names.length === 0 || names.includes(name)) && test(inherited(labels, prefix, nameLabel))
  }
}

function inherited(labels: Labels, prefix: string, nameLabel: string): Labels {
  const entries = Object.entries(labels)
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]): [string, string] => [key.slice(prefix.length), value])
  return { 'projectcalico.org/name': labels[nameLabel] ?? '', ...Object.fromEntries(entries) }
}
