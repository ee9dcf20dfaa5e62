import { MargayError } from '@margay/kit/errors'
import { inNamedNetns } from '@margay/kit/netns'
import { decodeAttributes } from '../../netlink/message.ts'
import { type NetlinkSocket, openNetlink } from '../../netlink/socket.ts'
import { type AnsweredError, readAnswers } from './answer.ts'
import { createAttributeWriter } from './attribute-writer.ts'
import { type Batch, describe, encodeBatch } from './batch.ts'
import type { Elements, SetKind, TableChange } from './change.ts'
import { elementAttributes, elementListAttributes } from './protocol.ts'
import { errnoInWords, type Refusal, refused } from './refusal.ts'
import { createRuleWriter } from './rule.ts'
import { createStatementCompiler, type QueueForm } from './statement.ts'

/** A set, and how its elements are written. */
export interface SetRef {
  readonly kind: SetKind
  readonly set: string
  readonly spec: string
}

/** Writes a table over netlink, in the calling thread: when a call returns it is done. */
export interface NetlinkWriter {
  /** Does all of the changes in one transaction, or throws NFT_REFUSED and has done none. */
  commit(changes: readonly TableChange[]): void
  /** Asks the kernel whether it would do them; throws as `commit` does, and changes nothing. */
  check(changes: readonly TableChange[]): void
  /** The same as `commit` for elements of one set: microseconds. */
  elements(set: SetRef, op: 'add' | 'delete', elements: Elements): void
  /** How packets are queued on this kernel; null before a rule that does it was written. */
  readonly queueForm: QueueForm | null
  close(): void
}

const socketOptions = { groups: 0, timeoutMs: 100, bufferBytes: 8 * 1024 * 1024, explainErrors: true } as const
/** What the kernel takes of a message's room in the send buffer for itself. */
const sendOverhead = 4096

/** Bytes that a batch is written into at first, and those of a batch whose memory is kept. */
const usualBytes = 64 * 1024
const keptBytes = 1024 * 1024

/** Opens a socket to nf_tables in a network namespace; null is that of the calling thread. */
export function openTables(netns: string | null): NetlinkSocket {
  return inNamedNetns(netns, () => openNetlink(socketOptions))
}

/** Makes a writer of a table of the family inet; its socket is opened by the first use. `open` gives it another socket. */
export function createNetlinkWriter(options: {
  readonly netns: string | null
  readonly table: string
  readonly open?: () => NetlinkSocket
}): NetlinkWriter {
  const { table } = options
  const open = options.open ?? (() => openTables(options.netns))
  let writer = createAttributeWriter(usualBytes)
  let socket: NetlinkSocket | undefined
  let sendRoom = 0
  let sequence = 0
  let queueForm: QueueForm | null = null
  let rules = createRuleWriter(createStatementCompiler('native'))

  function send(changes: readonly TableChange[], commit: boolean): void {
    const batch = encodeBatch({ table, writer, rules }, changes, { sequence, commit })
    if (batch.lastSequence === batch.firstSequence) return
    // Sequence numbers are 32 bits; some room is left for the largest batch.
    sequence = batch.lastSequence > 0x7000_0000 ? 0 : batch.lastSequence + 2
    socket ??= open()
    const size = batch.bytes.length + sendOverhead
    if (size > sendRoom) {
      socket.growSendBuffer(size)
      sendRoom = size
    }
    socket.send(batch.bytes)
    // A whole ruleset is written once; what it took is not kept for edits of some hundred bytes.
    if (batch.bytes.length > keptBytes) writer = createAttributeWriter(usualBytes)
    const errors = readAnswers(socket, batch)
    if (errors === null) throw new MargayError('NETLINK_FAILED', `the kernel did not answer a change of table ${table}`)
    const [first, ...others] = errors.map((error) => refusalOf(table, changes, batch, error))
    if (first !== undefined) throw refused(table, [first, ...others])
  }

  /** Chooses how packets are queued before the first rule that does. */
  function choose(changes: readonly TableChange[]): void {
    if (queueForm !== null || !changes.some(queues)) return
    const probe: TableChange[] = [
      { type: 'table', op: 'add' },
      { type: 'chain', op: 'add', chain: 'queue-probe', hook: null },
      { type: 'rules', chain: 'queue-probe', rules: [['queue num 0 bypass']] },
    ]
    try {
      send(probe, false)
      queueForm = 'native'
    } catch (error) {
      if (!(error instanceof MargayError) || error.code !== 'NFT_REFUSED') throw error
      queueForm = 'target'
      rules = createRuleWriter(createStatementCompiler('target'))
    }
  }

  return {
    get queueForm() {
      return queueForm
    },
    commit(changes) {
      choose(changes)
      send(changes, true)
    },
    check(changes) {
      choose(changes)
      send(changes, false)
    },
    elements(set, op, elements) {
      send([{ type: 'elements', op, ...set, elements }], true)
    },
    close() {
      socket?.close()
      socket = undefined
      sendRoom = 0
    },
  }
}

const queues = (change: TableChange) =>
  change.type === 'rules' && change.rules.some((rule) => rule.some((statement) => statement.startsWith('queue ')))

function refusalOf(
  table: string,
  changes: readonly TableChange[],
  batch: Batch,
  { sequence, errno, offset, text }: AnsweredError,
): Refusal {
  const reason = `${errnoInWords(errno)}${text === '' ? '' : `: ${text}`}`
  const at = (sequence - batch.firstSequence - 1) * 2
  const change = batch.places[at]
  if (change === undefined) return { change: -1, object: `the whole of table ${table}`, reason, errno, cause: null }
  const about = changes[change] as TableChange
  const item = (batch.places[at + 1] as number) + (about.type === 'elements' ? elementAt(batch, sequence, offset) : 0)
  return { change, object: describe(about, item), reason, errno, cause: about.cause ?? null }
}

/** Which element of a message is at an offset; the ends of intervals do not count. 0 when the kernel did not say. */
function elementAt({ bytes, firstSequence }: Batch, sequence: number, offset: number): number {
  let message = 0
  for (let skipped = firstSequence; skipped < sequence; skipped += 1) message += (bytes.readUInt32LE(message) + 3) & ~3
  const end = message + bytes.readUInt32LE(message)
  let at = message + 20
  while (at < end && (bytes.readUInt16LE(at + 2) & 0x3fff) !== elementListAttributes.elements)
    at += (bytes.readUInt16LE(at) + 3) & ~3
  let index = -1
  for (at += 4; at < end && at - message <= offset; ) {
    const length = bytes.readUInt16LE(at)
    if (!decodeAttributes(bytes.subarray(at + 4, at + length)).has(elementAttributes.flags)) index += 1
    at += (length + 3) & ~3
  }
  return Math.max(0, index)
}
