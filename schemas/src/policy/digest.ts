/** SHA-224 (FIPS 180-4), because the identity of an address set is defined by it and browsers offer no synchronous digest. */

const primes: number[] = []
for (let candidate = 2; primes.length < 64; candidate++) {
  if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate)
}

/** Round constants: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const constants = new Uint32Array(primes.map((prime) => fraction(prime)))

/** Exact to 32 bits: floor(cbrt(prime) * 2^32) by integer search, since a double carries too few bits for all of them. */
function fraction(prime: number): number {
  const target = BigInt(prime) << 96n
  let low = 0n
  let high = 1n << 36n
  while (low + 1n < high) {
    const middle = (low + high) >> 1n
    if (middle * middle * middle <= target) low = middle
    else high = middle
  }
  return Number(low & 0xffffffffn)
}

const initial = [
  0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4,
] as const

const rotate = (word: number, bits: number) => (word >>> bits) | (word << (32 - bits))

function pad(message: Uint8Array): DataView {
  const padded = new Uint8Array(((message.length + 8) >> 6) * 64 + 64)
  padded.set(message)
  padded[message.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 8, Math.floor(message.length / 0x20000000))
  view.setUint32(padded.length - 4, message.length << 3)
  return view
}

/** The 28 bytes of SHA-224 of a text in UTF-8. */
export function sha224(text: string): Uint8Array {
  const view = pad(new TextEncoder().encode(text))
  const state = Uint32Array.from(initial)
  const words = new Uint32Array(64)
  const word = (i: number) => words[i] as number
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(block + i * 4)
    for (let i = 16; i < 64; i++) {
      const early = word(i - 15)
      const late = word(i - 2)
      const s0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3)
      const s1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10)
      words[i] = word(i - 16) + s0 + word(i - 7) + s1
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (constants[i] as number) + word(i)) | 0
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    const next = [a, b, c, d, e, f, g, h]
    for (let i = 0; i < 8; i++) state[i] = (state[i] as number) + (next[i] as number)
  }
  const digest = new DataView(new ArrayBuffer(32))
  for (let i = 0; i < 8; i++) digest.setUint32(i * 4, state[i] as number)
  return new Uint8Array(digest.buffer, 0, 28)
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Base64url without padding. */
export function base64url(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 6) {
      bits -= 6
      text += alphabet[(held >> bits) & 63]
    }
    held &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + alphabet[(held << (6 - bits)) & 63]
}
