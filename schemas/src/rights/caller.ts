/** Who asks for something. */
export interface Caller {
  /** As in `alice`, `system:lab`, `system:serviceaccount:<namespace>:<name>`. */
  readonly user: string
  readonly groups: readonly string[]
}

const nobody = ['anonymous', 'system:anonymous']

/** A caller with the groups that everybody is in by the name alone, as Kubernetes has them. */
export function callerOf(user: string, groups: readonly string[]): Caller {
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(user)
  const implied = nobody.includes(user) ? ['system:unauthenticated'] : ['system:authenticated']
  if (account !== null) implied.push('system:serviceaccounts', `system:serviceaccounts:${account[1]}`)
  return { user, groups: [...new Set([...groups, ...implied])] }
}
