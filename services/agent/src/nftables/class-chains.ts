import type { Direction, Endpoint, Stage } from '@margay/schemas'
import type { HookKind } from './denial.ts'

/**
 * Names the chain that judges the packets of an endpoint in one direction and stage, and sees to it that the chain exists. Endpoints that
 * share tiers, policies and profiles share it. A base chain (or a map that it asks) jumps or goes to it; what it finds out, it tells
 * in the mark of the packet and returns:
 *
 * - **allowed**: returns with the bit `accept` set. What that means is the caller's to say: the next stage, `accept`, or `notrack` and `accept`.
 * - **denied**: never returns (dropped, rejected, or let through in a trial: `denial.ts`).
 * - **nobody decided**: returns with neither bit. Only `untracked` and `pre-dnat` can, which know no end of a tier. `normal` always decides, and
 *   so does `forward`: without forward policy in a direction there is no chain, with one what nobody allows is denied, also after a Pass.
 * - **connections that stand** are accepted at once in `normal`, `forward` and `pre-dnat`; packets of no connection are dropped in `normal` and `forward`.
 *
 * The chain clears both bits at its start, so what an earlier stage said must be read before; `pass` is no one else's business.
 * What a stage allowed for good (`untracked`, `pre-dnat`) is kept by the caller in the bit `settled`, which no class chain touches.
 *
 * Chains of host endpoints begin, where failsafes apply (`normal`, `pre-dnat`, `untracked`; never `forward`), with `jump` to
 * `failsafeChain(direction, stage)`; that chain accepts or returns.
 * `hook` is where the chain is asked when that is not where its stage usually is: the kernel lets packets be rejected in some hooks only.
 *
 * Rules of `untracked` policies log nothing: there is no connection whose first packet could be told from others.
 */
export type ClassChains = (endpoint: Endpoint, direction: Direction, stage: Stage, hook?: HookKind) => string
