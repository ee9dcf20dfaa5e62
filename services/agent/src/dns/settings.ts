import { type FelixConfigurationSpec, parseDuration } from '@margay/schemas'

/** How DNS policy works on a node (spec 5.12), completed with the built-in defaults. */
export interface DnsPolicySettings {
  /** Whether answers are held until the kernel knows their addresses. */
  readonly delays: boolean
  /** The mode that was asked for when it is not done as such here. */
  readonly instead: string | null
  readonly queue: number
  /** Answers that may wait; when there are more, the kernel lets them pass. */
  readonly queueSize: number
  /** How long programming an answer's addresses is tried before it is let go without. */
  readonly longestHoldMs: number
  readonly extraMs: number
  readonly trustedServers: readonly string[]
  /** Null: the agent's own place. */
  readonly cacheFile: string | null
  readonly saveMs: number
  /** What was learned under another number is forgotten. */
  readonly epoch: number
}

const secondMs = 1000

/** Reads the settings from the FelixConfiguration in force. */
export function dnsPolicySettings(spec: FelixConfigurationSpec): DnsPolicySettings {
  const mode = spec.nftablesDNSPolicyMode ?? spec.dnsPolicyMode ?? 'DelayDNSResponse'
  const isOurs = mode === 'DelayDNSResponse' || mode === 'NoDelay'
  return {
    // The other modes promise that the first packet gets through as well, and holding answers is how that is done here.
    delays: mode !== 'NoDelay',
    instead: isOurs ? null : mode,
    queue: spec.dnsPacketsNfqueueID ?? 101,
    queueSize: spec.dnsPacketsNfqueueSize ?? 100,
    longestHoldMs: parseDuration(spec.dnsPacketsNfqueueMaxHoldDuration ?? '') ?? 3 * secondMs,
    extraMs: parseDuration(spec.dnsExtraTTL ?? '') ?? 0,
    trustedServers: spec.dnsTrustedServers ?? ['k8s-service:kube-dns'],
    cacheFile: spec.dnsCacheFile || null,
    saveMs: Math.max(secondMs, parseDuration(spec.dnsCacheSaveInterval ?? '') ?? 60 * secondMs),
    epoch: spec.dnsCacheEpoch ?? 0,
  }
}
