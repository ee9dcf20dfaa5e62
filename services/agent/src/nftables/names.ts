import { sha256 } from '@margay/kit/identity'
import type { Direction, PolicyRef, Stage } from '@margay/schemas'

/**
 * Names of kernel objects. nft strings have no escapes, so a name is either made of harmless characters or a hash;
 * and it is a function of what it names, so that a restarted agent finds its own work again.
 */

/** 16 hexadecimal digits of SHA-256: the probability of one collision among a million names is about 3e-8. */
export function shortHash(text: string): string {
  return sha256(text).slice(0, 16)
}

/** What a logged packet met: one rule, the end of a tier, or the end of all profiles. */
export interface RuleHit {
  readonly direction: Direction
  readonly stage: Stage
  readonly action: 'allow' | 'deny' | 'pass' | 'log'
  readonly ref: PolicyRef
  /** -1: no rule matched, the tier's default action. */
  readonly ruleIndex: number
}

/** Untracked policy tells nothing; what workloads and processes of hosts meet has no letter. */
const letters: Readonly<Record<Stage, string>> = { untracked: 'U', 'pre-dnat': 'N', normal: '', forward: 'F' }

/** The stage of a prefix. */
export function stageOfPrefix(prefix: string): Stage {
  const letter = prefix[3]
  return letter === 'N' ? 'pre-dnat' : letter === 'F' ? 'forward' : 'normal'
}

/** nft takes 127 characters of log prefix; the kernel hands them back with each packet. */
const prefixLimit = 127

/**
 * The log prefix of a hit, as in `API0|security|gnp|-|security.block-feodo`: A allow, D deny, P pass or L log; P policy or R profile;
 * I ingress or E egress; N before DNAT or F forwarded through a host endpoint; the rule's index, or `x` at the end of a tier. A prefix too long ends in a hash of the whole.
 */
export function logPrefix(hit: RuleHit): string {
  const { ref } = hit
  const index = hit.ruleIndex < 0 ? 'x' : hit.ruleIndex
  const head = `${hit.action[0]?.toUpperCase()}${ref.kind === 'profile' ? 'R' : 'P'}${hit.direction === 'ingress' ? 'I' : 'E'}${letters[hit.stage]}`
  const text = `${head}${index}|${ref.tier}|${ref.kind}|${ref.namespace ?? '-'}|${ref.name}`
  if (text.length < prefixLimit && /^[A-Za-z0-9_.|-]+$/.test(text)) return text
  const clean = text.replace(/[^A-Za-z0-9_.|-]/g, '_')
  return `${clean.slice(0, prefixLimit - 17)}|${shortHash(text)}`
}

/** The action that a prefix stands for; null when it is not one of ours. */
export function actionOfPrefix(prefix: string): RuleHit['action'] | null {
  switch (prefix.charCodeAt(0)) {
    case 65:
      return 'allow'
    case 68:
      return 'deny'
    case 80:
      return 'pass'
    case 76:
      return 'log'
    default:
      return null
  }
}
