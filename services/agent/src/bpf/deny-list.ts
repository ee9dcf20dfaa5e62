import { MargayError, messageOf } from '@margay/kit/errors'
import ipaddr from 'ipaddr.js'
import { denyProgram, type Failsafes, prefixKeySizes } from './deny-program.ts'
import type { BpfCalls } from './kernel.ts'
import { attach, createMap, getElement, loadProgram, mapTypes, setElements } from './objects.ts'

/** Where on an interface the program may run: in its driver, or failing that in the kernel's common part. */
export interface XdpModes {
  readonly native: boolean
  readonly generic: boolean
}

/** The deny list of one interface, enforced at its driver. */
export interface DenyList {
  readonly mode: 'native' | 'generic'
  /** Addresses and blocks from now on. Throws BPF_FAILED when they do not fit; then nothing is certain but that closing helps. */
  set(members: ReadonlySet<string>): void
  /** Packets dropped since the start. */
  dropped(): number
  close(): void
}

/** Blocks of one family on one interface. */
const entries = 1_000_000
/** Prefix trees take their memory as they grow. */
const noPreallocation = 1
const listed = Buffer.from([1])
/** XDP_FLAGS_DRV_MODE and XDP_FLAGS_SKB_MODE. */
const modeFlags = { native: 4, generic: 2 } as const

/** Puts an empty list on an interface of the thread's network namespace. Throws BPF_FAILED with the reason of every mode that was tried. */
export function createDenyList(
  calls: BpfCalls,
  options: { readonly interfaceIndex: number; readonly modes: XdpModes; readonly failsafes: Failsafes },
): DenyList {
  const close: (() => void)[] = []
  const end = () => {
    for (const part of close.splice(0).reverse()) part()
  }
  const make = (name: string, type: number, keySize: number, valueSize: number, size: number, flags: number) => {
    const map = createMap(calls, { name, type, keySize, valueSize, entries: size, flags })
    close.push(map.close)
    return map
  }
  try {
    const lists = {
      4: make('margay_deny4', mapTypes.lpmTrie, prefixKeySizes[4], 1, entries, noPreallocation),
      6: make('margay_deny6', mapTypes.lpmTrie, prefixKeySizes[6], 1, entries, noPreallocation),
    }
    const counter = make('margay_dropped', mapTypes.array, 4, 8, 1, 0)
    const code = denyProgram({ 4: lists[4].fd, 6: lists[6].fd, dropped: counter.fd }, options.failsafes)
    const program = loadProgram(calls, { name: 'margay_deny', kind: 'xdp', code })
    close.push(() => calls.close(program))
    const { mode, link } = attachInOneOf(calls, program, options)
    close.push(() => calls.close(link))
    let present: ReadonlySet<string> = new Set()
    return {
      mode,
      set(members) {
        change(
          [...present].filter((member) => !members.has(member)),
          null,
        )
        change(
          [...members].filter((member) => !present.has(member)),
          listed,
        )
        present = new Set(members)
      },
      dropped: () => Number(getElement(calls, counter, Buffer.alloc(4), 8).readBigUInt64LE(0)),
      close: end,
    }

    function change(changed: readonly string[], value: Buffer | null): void {
      const keys = changed.map(prefixKey)
      for (const family of [4, 6] as const)
        setElements(
          calls,
          lists[family],
          keys.filter(({ length }) => length === prefixKeySizes[family]),
          value,
        )
    }
  } catch (error) {
    end()
    throw error
  }
}

function attachInOneOf(
  calls: BpfCalls,
  program: number,
  { interfaceIndex, modes }: { readonly interfaceIndex: number; readonly modes: XdpModes },
): { mode: 'native' | 'generic'; link: number } {
  const reasons: string[] = []
  for (const mode of ['native', 'generic'] as const) {
    if (!modes[mode]) continue
    try {
      return { mode, link: attach(calls, { program, kind: 'xdp', interfaceIndex, flags: modeFlags[mode] }) }
    } catch (error) {
      reasons.push(`${mode}: ${messageOf(error)}`)
    }
  }
  throw new MargayError('BPF_FAILED', reasons.join('; '))
}

/** The key of an address or block: length of its prefix in host order, then the address. */
export function prefixKey(member: string): Buffer {
  const [address, length] = member.includes('/') ? ipaddr.parseCIDR(member) : [ipaddr.parse(member), undefined]
  const bytes = Buffer.from(address.toByteArray())
  const key = Buffer.alloc(4 + bytes.length)
  key.writeUInt32LE(length ?? bytes.length * 8, 0)
  bytes.copy(key, 4)
  return key
}
