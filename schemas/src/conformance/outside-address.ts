import { addressBits, type Cidr, cidrContains, parseCidr, printCidr } from '../policy/ip.ts'
import type { Resource } from '../resources/resource.ts'

/** Blocks for documentation (RFC 5737; RFC 3849, RFC 9637), then those for benchmarks (RFC 2544; RFC 5180). */
const outside = {
  4: ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '198.18.0.0/15'],
  6: ['2001:db8::/32', '3fff::/20', '2001:2::/48'],
} as const

/** What stands for a name within a block, if it is free. */
const usual = { 4: 80n, 6: 0x80n } as const

/**
 * The address that stands for a name outside the cluster when nobody knows one: of the blocks that nobody has, an address that no block in the
 * resources holds, neither of a network set nor of a rule; where they hold all, the one that the fewest hold.
 */
export function outsideAddress(resources: readonly Resource[], family: 4 | 6): string {
  const ranges = outside[family].map((block) => parseCidr(block) as Cidr)
  const blocks = blocksIn(resources).filter((block) =>
    ranges.some((range) => cidrContains(range, block) || cidrContains(block, range)),
  )
  const end = ({ value, prefix }: Cidr) => value + (1n << BigInt(addressBits(family) - prefix))
  const candidates = [
    ...ranges.map(({ value }) => value + usual[family]),
    // What the fewest blocks hold begins where a range does, or where a block ends.
    ...ranges.flatMap((range) => [
      range.value + 1n,
      ...blocks.map(end).filter((value) => value > range.value && value < end(range)),
    ]),
  ]
  let best = { value: candidates[0] as bigint, held: Number.POSITIVE_INFINITY }
  for (const value of candidates) {
    const held = blocks.filter((block) => cidrContains(block, { family, value })).length
    if (held < best.held) best = { value, held }
    if (held === 0) break
  }
  return printCidr({ family, value: best.value, prefix: addressBits(family), masked: true })
}

/** Every block and address that is written anywhere in resources, each once. */
function blocksIn(resources: readonly Resource[]): Cidr[] {
  const texts = new Set(
    [...JSON.stringify(resources).matchAll(/"([0-9a-fA-F.:]+(?:\/\d+)?)"/g)].map(([, text]) => text),
  )
  return [...texts].flatMap((text) => parseCidr(text as string) ?? [])
}
