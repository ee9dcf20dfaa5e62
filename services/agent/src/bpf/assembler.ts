/**
 * eBPF machine code (RFC 9669): instructions of 8 bytes - operation, registers, offset, constant - little endian. Just as much of it as
 * the agent's programs need.
 */

/** 0: result; 1 to 5: arguments of helpers, gone after a call; 6 to 9: kept; 10: the top of the stack. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10

/** Bytes of a load or store. */
export type Size = 1 | 2 | 4 | 8

/** A part of a program: an instruction, a jump that is still to find its label, or a label. */
export type Part = { readonly bytes: Buffer; readonly jump?: string } | { readonly label: string }

const sizes: Readonly<Record<Size, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 }
const mem = 0x60
const classes = { load: 0x01, storeConstant: 0x02, store: 0x03, jump: 0x05, alu64: 0x07 } as const
const register = 0x08
const arithmetic = { add: 0x00, sub: 0x10, or: 0x40, and: 0x50, leftShift: 0x60, rightShift: 0x70, move: 0xb0 } as const
const conditions = { equal: 0x10, greater: 0x20, notEqual: 0x50, less: 0xa0, lessOrEqual: 0xb0 } as const

/** Operations on a register: with a constant, or with another register. */
export type Arithmetic = keyof typeof arithmetic
/** Comparisons, unsigned. */
export type Condition = keyof typeof conditions

/** Either another register or a constant of 32 bits. */
export type Operand = { readonly register: Register } | number

function encode(code: number, target: Register, source: number, offset: number, constant: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes[0] = code
  bytes[1] = (source << 4) | target
  bytes.writeInt16LE(offset, 2)
  bytes.writeInt32LE(constant | 0, 4)
  return bytes
}

const constantOf = (operand: Operand) => (typeof operand === 'number' ? operand : 0)
const sourceOf = (operand: Operand) => (typeof operand === 'number' ? 0 : operand.register)
const flagOf = (operand: Operand) => (typeof operand === 'number' ? 0 : register)

/** `target = target <operation> operand`, 64 bits; `move` forgets what was there. */
export function compute(operation: Arithmetic, target: Register, operand: Operand): Part {
  const code = arithmetic[operation] | flagOf(operand) | classes.alu64
  return { bytes: encode(code, target, sourceOf(operand), 0, constantOf(operand)) }
}

/** `target = *(base + offset)`. */
export function load(size: Size, target: Register, base: Register, offset: number): Part {
  return { bytes: encode(mem | sizes[size] | classes.load, target, base, offset, 0) }
}

/** `*(base + offset) = operand`. */
export function store(size: Size, base: Register, offset: number, operand: Operand): Part {
  const kind = typeof operand === 'number' ? classes.storeConstant : classes.store
  return { bytes: encode(mem | sizes[size] | kind, base, sourceOf(operand), offset, constantOf(operand)) }
}

/** `*(base + offset) += source`, 64 bits, in one step for all processors. */
export function increment(base: Register, offset: number, source: Register): Part {
  return { bytes: encode(0xc0 | sizes[8] | classes.store, base, source, offset, 0) }
}

/** `target = map`, by the descriptor that this process has of it. */
export function loadMap(target: Register, fd: number): Part {
  // Two slots; source 1 says that the constant is a descriptor.
  return { bytes: Buffer.concat([encode(0x18, target, 1, 0, fd), Buffer.alloc(8)]) }
}

/** Calls a helper of the kernel by its number (linux/bpf.h, BPF_FUNC_*). */
export function call(helper: number): Part {
  return { bytes: encode(0x80 | classes.jump, 0, 0, 0, helper) }
}

/** Goes on at the label, always or if the comparison holds. Labels lie ahead: programs have no loops. */
export function jump(label: string, when?: readonly [register: Register, is: Condition, operand: Operand]): Part {
  if (when === undefined) return { bytes: encode(classes.jump, 0, 0, 0, 0), jump: label }
  const [left, is, operand] = when
  const code = conditions[is] | flagOf(operand) | classes.jump
  return { bytes: encode(code, left, sourceOf(operand), 0, constantOf(operand)), jump: label }
}

/** Names the place of the next instruction. */
export const label = (name: string): Part => ({ label: name })

/** Ends the program; register 0 is its answer. */
export const exit = (): Part => ({ bytes: encode(0x90 | classes.jump, 0, 0, 0, 0) })

/** The machine code of a program. Throws a RangeError when a label is not there, or lies behind. */
export function assemble(parts: readonly Part[]): Buffer {
  const labels = new Map<string, number>()
  let slot = 0
  for (const part of parts) {
    if ('label' in part) labels.set(part.label, slot)
    else slot += part.bytes.length / 8
  }
  const code: Buffer[] = []
  let at = 0
  for (const part of parts) {
    if ('label' in part) continue
    const bytes = Buffer.from(part.bytes)
    at += bytes.length / 8
    if (part.jump !== undefined) {
      const target = labels.get(part.jump)
      if (target === undefined || target < at) throw new RangeError(`no label ${part.jump} ahead`)
      bytes.writeInt16LE(target - at, 2)
    }
    code.push(bytes)
  }
  return Buffer.concat(code)
}
