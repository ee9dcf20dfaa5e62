/** Every error code of the lab, and when it is raised. */
export const errors = {
  LAB_ID_TAKEN: 'another lab with the same id runs on this machine',
  LAB_IMPOSSIBLE: 'mode kernel was asked for where the kernel, root or a program is missing',
  LAB_COMMAND_FAILED: 'ip or nft refused what the topology needs',
  LAB_MANIFEST_INVALID: 'a manifest cannot be read or is not valid',
  LAB_POD_UNKNOWN: 'a pod, workload or service named in a request is not in the lab',
  LAB_REQUEST_INVALID: 'a probe or a change of the lab is not well-formed',
  LAB_SINK_REFUSED: 'the API did not take the resources of the lab',
} as const
