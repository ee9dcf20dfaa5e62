import { type KeyType, keyTypes } from './key-type.ts'
import { setFlags } from './protocol.ts'

/** What a set or map is made of, read from a text as `type ipv4_addr . inet_proto . inet_service; flags interval;`. */
export interface SetSpec {
  readonly fields: readonly KeyType[]
  readonly interval: boolean
  /** A map from keys to verdicts; else a set. */
  readonly verdict: boolean
  /** Bytes of a key: fields of a concatenation are padded to four each. */
  readonly keySize: number
}

const form = /^type ([a-z0-9_]+(?: \. [a-z0-9_]+)*)( : verdict)?; ?(flags interval;)?$/

/** Reads the text of a spec; null when it is none, or has a type that is not known here. */
export function parseSetSpec(text: string): SetSpec | null {
  const [, key, verdict, interval] = form.exec(text) ?? []
  if (key === undefined) return null
  const fields: KeyType[] = []
  for (const name of key.split(' . ')) {
    const type = keyTypes.get(name)
    if (type === undefined) return null
    fields.push(type)
  }
  const single = fields.length === 1
  return {
    fields,
    interval: interval !== undefined,
    verdict: verdict !== undefined,
    keySize: single ? (fields[0] as KeyType).size : fields.reduce((sum, { size }) => sum + ((size + 3) & ~3), 0),
  }
}

/** The text of a spec from what the kernel tells of a set; null when it has a type or flag that is not known here. */
export function printSetSpec(keyType: number, flags: number): string | null {
  if ((flags & ~(setFlags.interval | setFlags.map | setFlags.concatenation)) !== 0) return null
  const names: string[] = []
  for (let rest = keyType; rest > 0; rest >>>= 6) {
    const name = [...keyTypes].find(([, { id }]) => id === (rest & 0x3f))?.[0]
    if (name === undefined) return null
    names.unshift(name)
  }
  const verdict = flags & setFlags.map ? ' : verdict' : ''
  return `type ${names.join(' . ')}${verdict};${flags & setFlags.interval ? ' flags interval;' : ''}`
}

/** The number of a key's type as nft writes it: six bits for each field of a concatenation. */
export function keyTypeNumber({ fields }: SetSpec): number {
  return fields.reduce((sum, { id }) => (sum << 6) | id, 0)
}

/** Flags of the set. */
export function setFlagsOf({ fields, interval, verdict }: SetSpec): number {
  const ranges = interval ? setFlags.interval | (fields.length > 1 ? setFlags.concatenation : 0) : 0
  return ranges | (verdict ? setFlags.map : 0)
}

/**
 * Notes that nft keeps with a set and lists it by (libnftnl/udata.h): type, length, value. The order of the key's bytes, of the data's,
 * and, of a concatenation, that the key is one.
 */
export function setUserData({ fields, verdict }: SetSpec): Uint8Array {
  const single = fields.length === 1
  const u32 = (type: number, value: number) => [type, 4, value, 0, 0, 0]
  return Uint8Array.from([
    ...u32(0, single ? (fields[0] as KeyType).byteOrder : 0),
    ...(verdict ? u32(1, 0) : []),
    ...(single ? [] : [3, 8, ...u32(0, 13), 1, 0]),
    ...(verdict ? u32(6, 0) : []),
  ])
}
