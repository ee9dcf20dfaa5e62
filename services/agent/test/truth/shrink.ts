import type { Resource } from '@margay/schemas'

/** A list of rules of a policy, by where it is. */
const ruleLists = ['ingress', 'egress'] as const

/** Smaller forms of one resource: without one of its rules. */
function smaller(resource: Resource): Resource[] {
  const spec = resource.spec as Partial<Record<(typeof ruleLists)[number], unknown[]>> | undefined
  if (spec === undefined || !resource.kind.endsWith('Policy')) return []
  return ruleLists.flatMap((list) =>
    (spec[list] ?? []).map((_, index) => ({
      ...resource,
      spec: { ...spec, [list]: (spec[list] ?? []).filter((__, other) => other !== index) },
    })),
  )
}

/**
 * The smallest set of resources that still fails, found by taking away one thing at a time: halves of what may go first, then single
 * resources, then single rules. What `isFixed` says stays. At most `attempts` trials are made; each asks the kernel again.
 */
export async function shrink(
  resources: readonly Resource[],
  options: {
    readonly fails: (resources: readonly Resource[]) => Promise<boolean>
    readonly isFixed: (resource: Resource) => boolean
    readonly attempts: number
  },
): Promise<readonly Resource[]> {
  let present = resources
  let left = options.attempts
  const still = async (candidate: readonly Resource[]): Promise<boolean> => {
    if (left <= 0) return false
    left -= 1
    if (!(await options.fails(candidate))) return false
    present = candidate
    return true
  }
  const removable = () => present.filter((resource) => !options.isFixed(resource))
  for (let size = Math.ceil(removable().length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < removable().length; ) {
      const chunk = new Set(removable().slice(at, at + size))
      if (!(await still(present.filter((resource) => !chunk.has(resource))))) at += size
    }
  }
  for (let progress = true; progress && left > 0; ) {
    progress = false
    for (const resource of removable())
      for (const candidate of smaller(resource)) {
        if (!(await still(present.map((one) => (one === resource ? candidate : one))))) continue
        progress = true
        break
      }
  }
  return present
}
