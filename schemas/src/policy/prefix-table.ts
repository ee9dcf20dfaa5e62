import { type Cidr, ipv4Number, networkOf, parseAddress } from './ip.ts'

/** Values by address block, found by any address in the block. */
export interface PrefixTable<T> {
  /** Number of blocks. */
  readonly size: number
  get(block: Cidr): T | undefined
  set(block: Cidr, value: T): void
  delete(block: Cidr): void
  /** Visits the values of the blocks that hold an address, the smallest block first, until one answers true; then the result is true. */
  some(ip: string, visit: (value: T) => boolean): boolean
  /** True when a block that is larger than the given one holds all of it. */
  covers(block: Cidr): boolean
}

/** Blocks of one length. */
interface Row<K, T> {
  readonly prefix: number
  readonly values: Map<K, T>
}

/** The first `prefix` bits of an IPv4 address. */
const cut = (value: number, prefix: number) => (prefix === 0 ? 0 : (value & (-1 << (32 - prefix))) >>> 0)

/** Makes an empty table. IPv4 is kept by numbers, IPv6 by big integers; a look-up costs one step per length in use. */
export function createPrefixTable<T>(): PrefixTable<T> {
  const four: Row<number, T>[] = []
  const six: Row<bigint, T>[] = []
  let size = 0

  function put<K>(rows: Row<K, T>[], prefix: number, key: K, value: T): void {
    let row = rows.find((one) => one.prefix === prefix)
    if (row === undefined) {
      row = { prefix, values: new Map() }
      const shorter = rows.findIndex((one) => one.prefix < prefix)
      rows.splice(shorter < 0 ? rows.length : shorter, 0, row)
    }
    if (!row.values.has(key)) size++
    row.values.set(key, value)
  }

  function drop<K>(rows: Row<K, T>[], prefix: number, key: K): void {
    const at = rows.findIndex((one) => one.prefix === prefix)
    const row = rows[at]
    if (row?.values.delete(key) !== true) return
    size--
    if (row.values.size === 0) rows.splice(at, 1)
  }

  return {
    get size() {
      return size
    },
    get: ({ family, prefix, value }) =>
      family === 4
        ? four.find((row) => row.prefix === prefix)?.values.get(Number(value))
        : six.find((row) => row.prefix === prefix)?.values.get(value),
    set({ family, prefix, value: key }, value) {
      if (family === 4) put(four, prefix, Number(key), value)
      else put(six, prefix, key, value)
    },
    delete({ family, prefix, value }) {
      if (family === 4) drop(four, prefix, Number(value))
      else drop(six, prefix, value)
    },
    some(ip, visit) {
      const number = ipv4Number(ip)
      if (number >= 0) {
        for (const { prefix, values } of four) {
          const value = values.get(cut(number, prefix))
          if (value !== undefined && visit(value)) return true
        }
        return false
      }
      // IPv4 may also be written as IPv6 (`::ffff:10.0.0.1`).
      const address = parseAddress(ip)
      if (address === null) return false
      if (address.family === 4)
        return this.some([24, 16, 8, 0].map((bits) => (Number(address.value) >>> bits) & 255).join('.'), visit)
      for (const { prefix, values } of six) {
        const value = values.get(networkOf(address, prefix))
        if (value !== undefined && visit(value)) return true
      }
      return false
    },
    covers(block) {
      if (block.family === 4) {
        const number = Number(block.value)
        return four.some(({ prefix, values }) => prefix < block.prefix && values.has(cut(number, prefix)))
      }
      return six.some(({ prefix, values }) => prefix < block.prefix && values.has(networkOf(block, prefix)))
    },
  }
}
