/** Codes of the errors that the agent raises, and when. */
export const errors = {
  NFT_FAILED: 'the nft command refused a transaction, or could not be run',
  NFT_REFUSED:
    'the kernel, or the nft command, refused a transaction on an nftables table; details.refusals says of what, why and whose',
  NETLINK_FAILED: 'a netlink socket could not be opened, bound or read',
  NETLINK_REFUSED: 'the kernel answered a netlink request with an error',
  DNS_POLICY_FAILED: 'the agent cannot see DNS packets, so rules with domains would match nothing',
  DNS_SETS_NOT_FILLED: 'the addresses of domain names could not be put into the kernel',
  BPF_FAILED:
    'the kernel refused an eBPF map, program or link, or has none; details.log has the last words of the verifier',
  AGENT_COMMAND_FAILED: 'a command that the agent needs (ip, sysctl) failed',
  AGENT_WORKER_DIED: 'a worker thread that reads kernel events ended on its own',
} as const
