/**
 * One end of a flow as people name it: `namespace/name`, or the name alone for what lives in no namespace; the
 * aggregated name where aggregation took the own one away (both write `-` for none).
 */
export function placeOf(namespace: string, name: string, aggregated: string): string {
  const shown = name === '' || name === '-' ? aggregated : name
  return namespace === '' || namespace === '-' ? shown : `${namespace}/${shown}`
}
