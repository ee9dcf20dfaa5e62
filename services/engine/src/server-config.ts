import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Rows from which a merge copies columns one by one: for tables of fifty columns, most of them dictionaries, that takes
 * 4 us of CPU for each row instead of 11 (measured), and merges are most of what storing an event costs. The engine's own
 * default is 131,072 rows; below a few thousand the files opened for each column cost more than they save.
 */
const verticalRows = 4096

/**
 * Server settings of the embedded engine. Its defaults are those of a machine of its own (nine tenths of all memory, a mark
 * cache of 5 GB, 16 merge threads); here it is one process among others.
 */
function serverConfig(maxMemory: number): string {
  return `<clickhouse>
  <max_server_memory_usage>${maxMemory}</max_server_memory_usage>
  <mark_cache_size>${Math.min(256 * 2 ** 20, Math.floor(maxMemory / 8))}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>
  <merge_tree>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <vertical_merge_algorithm_min_rows_to_activate>${verticalRows}</vertical_merge_algorithm_min_rows_to_activate>
  </merge_tree>
</clickhouse>
`
}

/** Writes the server settings beside the data and returns the file's path. */
export function writeServerConfig(dir: string, maxMemory: number): string {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const file = join(dir, 'margay-server.xml')
  writeFileSync(file, serverConfig(maxMemory), { mode: 0o600 })
  return file
}
