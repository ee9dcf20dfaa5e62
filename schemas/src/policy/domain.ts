/**
 * True when a domain name of a rule matches a name that was looked up: an exact name matches itself, a `*` one or more whole labels in its
 * place (`*.x.com` matches a.x.com and a.b.x.com, not x.com). Case and a trailing dot do not matter.
 */
export function matchDomain(pattern: string, name: string): boolean {
  const wanted = canonicalDomain(pattern).split('.')
  const labels = canonicalDomain(name).split('.')
  const star = wanted.indexOf('*')
  if (star < 0) return wanted.length === labels.length && wanted.every((label, index) => label === labels[index])
  if (labels.length < wanted.length) return false
  const after = wanted.length - star - 1
  return (
    wanted.slice(0, star).every((label, index) => label === labels[index]) &&
    wanted.slice(star + 1).every((label, index) => label === labels[labels.length - after + index])
  )
}

/** Domain names compare in lower case, without a trailing dot. */
export function canonicalDomain(domain: string): string {
  return domain.toLowerCase().replace(/\.$/, '')
}
