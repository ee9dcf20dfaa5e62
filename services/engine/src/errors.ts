/** Codes that the engine raises. What a statement did wrong travels as ClickHouse's own code in its HTTP answer. */
export const errors = {
  ENGINE_MISSING: 'chdb, an optional dependency, is not installed or has no build for this platform',
  ENGINE_DIRECTORY_BUSY: 'another process has the data directory open',
  ENGINE_DIRECTORY_INVALID: 'the data directory has a character that ClickHouse reads as a pattern',
  ENGINE_NOT_OPENED: 'chdb could not open the data directory; it says why on standard error',
} as const
