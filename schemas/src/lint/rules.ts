import type { LintRule } from './finding.ts'
import { alertLookback, alertOneReporter, alertPlaceholderLost } from './rules/alerts.ts'
import { dnsBlocked, udpOnlyDns } from './rules/dns.ts'
import { domainsIgnored, wildcardApex } from './rules/domains.ts'
import { failsafeDefaultsLost, failsafeProtocol, hostOpen, nodeLockedOut, preDnatWithoutDeny } from './rules/hosts.ts'
import { unusedNetworkSet } from './rules/network-sets.ts'
import { allowFromAnywhere, allowToAnywhere } from './rules/peers.ts'
import { reportSchedule } from './rules/reports.ts'
import { negatedLabel, peerMatchesNothing, selectorTypo, selectsNothing } from './rules/selection.ts'
import { servicePort } from './rules/service-ports.ts'
import { shadowedRule } from './rules/shadow.ts'
import { stagedLeftover } from './rules/staged.ts'
import { tierMissing, tierProtectsNothing } from './rules/tiers.ts'

/** Every mistake that the linter knows, in the order of the reference. */
export const lintRules: readonly LintRule[] = [
  tierMissing,
  tierProtectsNothing,
  allowToAnywhere,
  allowFromAnywhere,
  shadowedRule,
  selectorTypo,
  selectsNothing,
  peerMatchesNothing,
  negatedLabel,
  udpOnlyDns,
  dnsBlocked,
  wildcardApex,
  domainsIgnored,
  servicePort,
  unusedNetworkSet,
  stagedLeftover,
  nodeLockedOut,
  hostOpen,
  preDnatWithoutDeny,
  failsafeProtocol,
  failsafeDefaultsLost,
  alertLookback,
  alertPlaceholderLost,
  alertOneReporter,
  reportSchedule,
]
