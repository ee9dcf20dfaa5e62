/** Every error that the command line itself raises. */
export const errors = {
  API_UNREACHABLE: 'the API does not answer at the address in use',
  API_REFUSED: 'the API answered with an error that names no code',
  LAB_UNREACHABLE: 'no lab runs in this home folder',
  LAB_REFUSED: 'the lab answered with an error that names no code',
  LAB_SIMULATED: 'the command needs the lab in a real kernel',
  PORT_IN_USE: 'the port of the API is taken by another program',
  UP_RUNNING: 'another margay runs in the same home folder',
  USAGE: 'the command line is not understood',
  FILE_UNREADABLE: 'a file or folder given with -f cannot be read',
  CONNECTIVITY_INVALID:
    'a file of connectivity tests, or an end of a connection that is asked about, cannot be read or found',
  RESOURCE_INVALID: 'resources given in files are not valid',
  KIND_UNKNOWN: 'a resource kind is not one that Margay knows',
} as const
