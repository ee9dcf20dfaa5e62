/**
 * Settings for inserting rows of `rowOf` as `FORMAT JSONEachRow`. Most are defaults of recent servers, said here because
 * older ones differ. A half of a surrogate pair would otherwise fail the whole block: it is kept as its escape instead.
 */
export const insertSettings = {
  input_format_json_read_objects_as_strings: 1,
  input_format_json_read_arrays_as_strings: 1,
  input_format_json_named_tuples_as_objects: 1,
  input_format_json_throw_on_bad_escape_sequence: 0,
  input_format_null_as_default: 1,
  input_format_skip_unknown_fields: 1,
} as const
