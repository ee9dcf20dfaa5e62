import type { Component } from '@margay/kit/component'
import type { LabPlan } from './manifests/plan.ts'

/** Who makes a connection: a pod, a node, or a machine of the outside world. */
export interface Caller {
  readonly netns: string
  /** Namespace whose services short names mean. */
  readonly namespace: string
  readonly ip: string
  /** It has other addresses too, so the connection must be told to leave from `ip`. */
  readonly isBound?: boolean
}

/** Where a connection goes. */
export interface Target {
  readonly scheme: 'http' | 'tcp' | 'udp' | 'dns'
  /** Name or address. */
  readonly host: string
  readonly port: number | null
  readonly path?: string
  readonly timeoutMs: number
}

/** How one fresh connection went. */
export interface Contact {
  readonly ok: boolean
  /** Address that was called; null when the name was not found. */
  readonly address: string | null
  /** Source port; null when none was used. */
  readonly sourcePort: number | null
  /** Milliseconds until it was established (or answered), or given up. */
  readonly latencyMs: number
  /** Why it did not come about; null when it did. */
  readonly error: string | null
}

/** The pods' network: namespaces in the kernel, or their simulation. */
export interface LabNetwork extends Component {
  readonly mode: 'kernel' | 'simulated'
  /** Makes the world equal to the plan. What has not changed is not touched. */
  update(plan: LabPlan): Promise<void>
  /** Opens one fresh connection; never rejects. */
  connect(caller: Caller, target: Target): Promise<Contact>
}
