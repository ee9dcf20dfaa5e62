import { join } from 'node:path'
import type { Verdict } from '@margay/schemas'
import { callSocket } from './client.ts'
import type { ShownFlow } from './print/flow-line.ts'

/** What the lab tells of a connection that it opened. */
export interface ProbeResult {
  readonly source: string
  readonly destination: string
  readonly protocol: string
  readonly port: number
  readonly verdict: Verdict
  readonly latencyMs: number
  readonly error?: string
  /** The record that decided; null when none appeared in time. */
  readonly flow: ShownFlow | null
}

/** A connection to open: ends as the lab reads them, `tcp` or `udp`, how long to wait for the flow record. */
export interface ProbeRequest {
  readonly source: string
  readonly destination: string
  readonly protocol: string
  readonly waitFlowMs: number
}

/** The socket of the lab of a home folder. */
export const labSocket = (home: string): string => join(home, 'run', 'lab.sock')

/** Opens one fresh connection in the lab. Throws LAB_UNREACHABLE, or what the lab finds wrong with the ends. */
export function probeLab(home: string, request: ProbeRequest): Promise<ProbeResult> {
  return callSocket<ProbeResult>(labSocket(home), 'POST', '/probe', request)
}
