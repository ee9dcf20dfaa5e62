/** A place inside a resource: member names and list positions from the top. */
export type Path = readonly (string | number)[]

/** Writes a place as problems show it: `spec.ingress[0].destination.ports[1]`, `metadata.labels["a.b/c"]`. */
export function printPath(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(step)) text += text === '' ? step : `.${step}`
    else text += `[${JSON.stringify(step)}]`
  }
  return text
}

/** Reads a place written by printPath. */
export function parsePath(text: string): Path {
  const steps: (string | number)[] = []
  for (const match of text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([A-Za-z0-9_-]+)/g)) {
    if (match[1] !== undefined) steps.push(Number(match[1]))
    else if (match[2] !== undefined) steps.push(JSON.parse(match[2]) as string)
    else if (match[3] !== undefined) steps.push(match[3])
  }
  return steps
}
