import { sha256 } from '@margay/kit/identity'
import type { ReadBack } from '../dataplane/dataplane.ts'
import type { TablePlan } from './table-plan.ts'
import { type Present, usualHook } from './transaction.ts'
import type { TableListing } from './wire/listing.ts'

/** What a listing says is there, in the terms of transactions. A set of a kind that is never written here has no spec. */
export function presentOf(listing: TableListing): Present {
  return {
    table: listing.chains.size + listing.sets.size > 0,
    chains: new Map([...listing.chains].map(([name, { hook }]) => [name, hook])),
    sets: new Map([...listing.sets].map(([name, { kind, spec }]) => [name, { kind, spec: spec ?? '' }])),
  }
}

/** Holds a listing against the plan. */
export function readBackOf(listing: TableListing, plan: Pick<TablePlan, 'chains' | 'sets'>): ReadBack {
  const missing: string[] = []
  for (const [name, { hook }] of plan.chains) {
    const found = listing.chains.get(name)
    if (found === undefined || found.hook !== usualHook(hook)) missing.push(`chain ${name}`)
  }
  for (const [name, { set }] of plan.sets) {
    const found = listing.sets.get(name)
    if (found === undefined || found.kind !== set.kind || found.spec !== set.spec) missing.push(`${set.kind} ${name}`)
  }
  const unknown = [
    ...[...listing.chains.keys()].filter((name) => !plan.chains.has(name)).map((name) => `chain ${name}`),
    ...[...listing.sets].filter(([name]) => !plan.sets.has(name)).map(([name, { kind }]) => `${kind} ${name}`),
  ]
  const lines = [
    ...[...listing.chains].map(([name, { hook }]) => `chain ${name} ${hook}`),
    ...[...listing.sets].map(([name, { kind, spec }]) => `${kind} ${name} ${spec}`),
  ].sort()
  return { chains: listing.chains.size, sets: listing.sets.size, digest: sha256(lines.join('\n')), missing, unknown }
}
