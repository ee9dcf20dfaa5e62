/** Codes that the store raises. */
export const errors = {
  STORE_SCHEMA_NEWER: 'the database was made by a newer version; this one does not know its tables',
} as const
