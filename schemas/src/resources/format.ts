import { parseAddress, parseCidr } from '../policy/ip.ts'
import { parseSelector } from '../policy/selector/selector.ts'
import { parseDuration } from './duration.ts'
import { subdomainName } from './name.ts'

/** A check on text that JSON schema has no word for: returns what is wrong, or null. */
type Format = (text: string) => string | null

const selector: Format = (text) => {
  try {
    parseSelector(text)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** Domain name, possibly with one `*` in place of one whole label that is not the last (spec 5.12). */
const domain: Format = (text) => {
  const labels = text.split('.')
  if (text.length > 253 || labels.some((label) => label === '')) return 'must be a domain name without a trailing dot'
  const stars = labels.filter((label) => label.includes('*'))
  if (stars.length > 1) return 'must have at most one "*"'
  if (stars.some((label) => label !== '*')) return 'must use "*" in place of a whole label'
  if (labels.at(-1) === '*') return 'must not end in "*"'
  return labels.every((label) => label === '*' || /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
    ? null
    : 'must be labels of letters, digits and "-" joined by dots'
}

/** The `format` keywords of resource schemas; a broken one is reported under the rule of the same name. */
export const formats: Readonly<Record<string, Format>> = {
  selector: (text) =>
    text.includes('global(') ? 'global() is allowed only in the namespaceSelector of a rule' : selector(text),
  /** As `selector`, but the namespaceSelector of a rule may be exactly `global()`. */
  'namespace-selector': (text) =>
    text.includes('global(') && !/^[ \t]*global\([ \t]*\)[ \t]*$/.test(text)
      ? 'global() must stand alone'
      : selector(text),
  ip: (text) => (parseAddress(text) === null ? 'must be an IPv4 or IPv6 address' : null),
  /** An address or block; bits beyond the prefix are forgiven (network sets). */
  net: (text) => (parseCidr(text) === null ? 'must be an address or a CIDR block' : null),
  /** An address or block whose bits beyond the prefix are zero (rules). */
  cidr(text) {
    const cidr = parseCidr(text)
    if (cidr === null) return 'must be an address or a CIDR block'
    return cidr.masked ? null : 'must have no bits set beyond the prefix'
  },
  domain,
  duration: (text) => (parseDuration(text) === null ? 'must be a duration such as "90s", "5m" or "1h15m"' : null),
  'date-time': (text) =>
    /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))
      ? null
      : 'must be a time in RFC 3339, such as "2030-03-01T00:00:00Z"',
  subdomain: subdomainName,
  'http-url': (text) =>
    /^https?:\/\/[^/\s]+/.test(text) && URL.canParse(text) ? null : 'must be an http:// or https:// URL',
}
