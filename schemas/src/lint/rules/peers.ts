import type { FlatRule } from '../../policy/flat-policy.ts'
import { protocolName } from '../../resources/protocol.ts'
import { isAnybody, matchesEverything } from '../containment.ts'
import { type LintPolicy, peerSide } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { textOfPorts } from '../ports.ts'

/** Egress rules with ports and nobody they lead to: they allow these ports everywhere, the internet included. */
export const allowToAnywhere: LintRule = {
  id: 'allow-to-anywhere',
  severity: 'warning',
  title: 'an egress rule that allows ports and names no destination',
  why: 'A rule without a destination is not limited to the namespace or the cluster: it allows these ports to every address there is, so the workload can still reach the internet.',
  remedy:
    'Give the rule a destination: a selector, nets, services or domains. For every address on purpose, write nets: ["0.0.0.0/0"].',
  check({ policies }, report) {
    for (const policy of policies) {
      for (const rule of openRules(policy, 'egress')) {
        if (isDns(rule) || isIcmp(rule)) continue
        const at = ['spec', 'egress', rule.index, ...(policy.spec === null ? [] : ['destination'])]
        const message = `${policy.title} allows ${whatOf(rule)} to anywhere`
        report(policy.subject, at, message, matchesEverything(rule) ? { severity: 'info' } : {})
      }
    }
  },
}

/** Ingress rules that let everybody in: right for a public service, and worth knowing. */
export const allowFromAnywhere: LintRule = {
  id: 'allow-from-anywhere',
  severity: 'info',
  title: 'an ingress rule that allows and names no source',
  why: 'A rule without a source lets every pod of the cluster and every outside address in.',
  remedy:
    'If this is no public service, give the rule a source. For every address on purpose, write nets: ["0.0.0.0/0"].',
  check({ policies }, report) {
    for (const policy of policies) {
      for (const rule of openRules(policy, 'ingress')) {
        if (isIcmp(rule)) continue
        report(
          policy.subject,
          ['spec', 'ingress', rule.index],
          `${policy.title} lets everybody in${matchesEverything(rule) ? '' : ` on ${whatOf(rule)}`}`,
        )
      }
    }
  },
}

/** Allow rules whose peer is anybody; one for each rule that the user wrote. */
function openRules({ flat }: LintPolicy, direction: 'ingress' | 'egress'): FlatRule[] {
  if (!flat.directions.includes(direction)) return []
  const open = flat.rules[direction].filter((rule) => rule.action === 'allow' && isAnybody(rule[peerSide[direction]]))
  return open.filter((rule, position) => open.findIndex(({ index }) => index === rule.index) === position)
}

/** Names are asked for everywhere, and often meant to be: what is asked is the affair of DNS policy. */
function isDns({ destination, protocol }: FlatRule): boolean {
  const { ranges, names } = destination.ports
  return (
    (protocol === 6 || protocol === 17) &&
    names.length === 0 &&
    ranges.length > 0 &&
    ranges.every(({ first, last }) => first === last && [53, 5353, 8053].includes(first))
  )
}

const isIcmp = ({ protocol }: FlatRule) => protocol === 1 || protocol === 58

function whatOf({ protocol, destination }: FlatRule): string {
  const ports = textOfPorts(destination.ports)
  const name = protocol === null ? '' : protocolName(protocol).toUpperCase()
  return [name, ports].filter((part) => part !== '').join(' ') || 'everything'
}
