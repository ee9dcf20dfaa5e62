/** Records of an answer with one owner, type and class; names are lower case without the final dot. */
export interface DnsRecordSet {
  readonly name: string
  readonly type: string
  readonly class: string
  /** As zone files write it, sorted: servers turn the order. */
  readonly rdata: string[]
}

/** A DNS answer that reached a client. */
export interface DnsLookup {
  readonly client: string
  readonly server: string
  readonly message: {
    readonly question: { readonly name: string; readonly type: string; readonly class: string }
    /** Mnemonic of the IANA registry "DNS RCODEs", such as `NXDomain`. */
    readonly rcode: string
    readonly rrsets: readonly DnsRecordSet[]
    /** Addresses of the answer, with the shortest life on the way to them, seconds. */
    readonly addresses: readonly { readonly ip: string; readonly ttl: number }[]
  }
  /** From request to response, nanoseconds; null when the request was not seen. */
  readonly latency: number | null
}
