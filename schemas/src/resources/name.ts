/** A rule for metadata.name: returns what is wrong, or null. */
export type NameRule = (name: string) => string | null

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const subdomain = new RegExp(`^${label}(\\.${label})*$`)
const oneLabel = new RegExp(`^${label}$`)
const oneOrTwoLabels = new RegExp(`^(${label}\\.)?${label}$`)
const generated = /^(?:knp|ossg)\.default\./
const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/

/** The rule for most kinds: a DNS subdomain of at most 253 characters. */
export const subdomainName: NameRule = (name) =>
  name.length <= 253 && subdomain.test(name)
    ? null
    : 'must be a DNS subdomain: lower-case letters, digits, "-" and ".", at most 253 characters'

/** A DNS label of at most 63 characters, so without dots. */
export const labelName: NameRule = (name) =>
  name.length <= 63 && oneLabel.test(name)
    ? null
    : 'must be one DNS label: lower-case letters, digits and "-", no dots, at most 63 characters'

const policyName: NameRule = (name) =>
  name.length <= 253 && oneOrTwoLabels.test(name)
    ? null
    : 'must be one DNS label, or two joined by a dot as in "<tier>.<name>"'

/** GlobalNetworkPolicy: `label` or `label.label`. */
export const globalPolicyName: NameRule = policyName

/** NetworkPolicy: `label` or `label.label`, or a name generated from a Kubernetes policy. */
export const namespacedPolicyName: NameRule = (name) => (generated.test(name) ? subdomainName(name) : policyName(name))

/** Names that Kubernetes leaves freer than a subdomain (RBAC and such): no slash, not `.` or `..`. */
export const pathName: NameRule = (name) =>
  name !== '' && !name.includes('/') && name !== '.' && name !== '..'
    ? null
    : 'must not be empty, "." or "..", or hold "/"'

/** What is wrong with a label or annotation key, or null. */
export function keyProblem(key: string): string | null {
  const slash = key.indexOf('/')
  const prefix = slash < 0 ? null : key.slice(0, slash)
  const name = key.slice(slash + 1)
  if (prefix !== null && (prefix.length > 253 || !subdomain.test(prefix)))
    return 'prefix of the key must be a DNS subdomain'
  return name.length <= 63 && qualifiedName.test(name)
    ? null
    : 'name of the key must be 1 to 63 letters, digits, "-", "_" or ".", with a letter or digit at both ends'
}

/** What is wrong with a label value, or null. */
export function labelValueProblem(value: string): string | null {
  return value.length <= 63 && labelValue.test(value)
    ? null
    : 'must be empty or 1 to 63 letters, digits, "-", "_" or ".", with a letter or digit at both ends'
}
