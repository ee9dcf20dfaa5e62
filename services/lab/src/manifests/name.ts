import { createHash } from 'node:crypto'

/** The letters of names that Kubernetes generates: no vowels, no look-alikes. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'

/** A suffix like those that Kubernetes generates, but the same for the same text: a restarted lab has the same pod names. */
export function suffixOf(text: string, length: number): string {
  const digest = createHash('sha1').update(text).digest()
  return Array.from({ length }, (_, i) => alphabet[(digest[i] as number) % alphabet.length]).join('')
}

/** Host-side interface of a pod, as Calico names it: `cali` and the first 11 hex digits of SHA-1 of `<namespace>.<pod>`. */
export function interfaceOf(namespace: string, pod: string): string {
  return `cali${createHash('sha1').update(`${namespace}.${pod}`).digest('hex').slice(0, 11)}`
}

/** A number in [0, size) that belongs to a text: where the search for a free address or port begins. */
export function slotOf(text: string, size: number): number {
  return createHash('sha1').update(text).digest().readUInt32BE(0) % size
}

/** Name of a pod's network namespace; long names keep their beginning and end in a hash, as file names allow 255 bytes. */
export function netnsOf(id: string, namespace: string, pod: string): string {
  const name = `${id}-${namespace}.${pod}`
  return name.length <= 200 ? name : `${name.slice(0, 180)}-${suffixOf(name, 12)}`
}
