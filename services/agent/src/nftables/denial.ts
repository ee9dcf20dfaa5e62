import type { Stage } from '@margay/schemas'
import { accept } from './marks.ts'
import type { Rule } from './ruleset.ts'

/** What becomes of packets that policy denies, and what the kernel's log tells about packets (spec 5.4). */
export interface DenialOptions {
  /** In the filter hooks; before them a denied packet is always dropped. */
  readonly action: 'drop' | 'reject'
  /** Denied packets pass, for a trial of policy; that they were denied is told as ever. */
  readonly passes: boolean
  /** Denied packets are written to the kernel's log. */
  readonly isLogged: boolean
  /** Stands before each line of the kernel's log that a rule with action Log writes. */
  readonly logPrefix: string
  /** Lines of the kernel's log that one rule may write, as nft says it: a flood of packets must not become a flood of lines. */
  readonly logLimit: string
}

/** What holds without FelixConfiguration. */
export const defaultDenial: DenialOptions = {
  action: 'drop',
  passes: false,
  isLogged: false,
  logPrefix: 'calico-packet',
  logLimit: 'limit rate 10/second burst 5 packets',
}

/** Where rules stand: input, forward and output filter and may reject a packet; the others only drop it. */
export type HookKind = 'filter' | 'other'

/** The hooks in which a stage is asked. */
export const hookOf = (stage: Stage): HookKind => (stage === 'normal' || stage === 'forward' ? 'filter' : 'other')

/** The rules that deny what matches; `log` tells the collector of it, where packets are told of at all. */
export function denyRules(match: Rule, log: string | null, options: DenialOptions, hook: HookKind): readonly Rule[] {
  const { action, passes, isLogged, logLimit } = options
  const told = log === null ? match : [...match, log]
  const end =
    hook === 'other'
      ? [passes ? 'accept' : 'drop']
      : passes
        ? [`meta mark set meta mark | ${accept}`, 'return']
        : [action]
  return [...(isLogged ? [[...match, logLimit, kernelLog('calico-drop')]] : []), [...told, ...end]]
}

/** The rules of action Log on what matches: a line of the kernel's log, and `log` for the collector. */
export function logRules(match: Rule, log: string | null, options: DenialOptions): readonly Rule[] {
  return [...(log === null ? [] : [[...match, log]]), [...match, options.logLimit, kernelLog(options.logPrefix)]]
}

const kernelLog = (prefix: string) => `log prefix "${prefix}: " level info`
