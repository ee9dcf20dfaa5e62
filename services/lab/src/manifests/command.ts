import { type Call, defaultEveryMs } from './call.ts'
import { targetOf } from './environment.ts'
import type { Container, PodSpec } from './pod-template.ts'

/** Options of curl and wget that take a value in the next word. */
const valued = new Set(
  '-m --max-time --connect-timeout -o --output -O -w --write-out -H --header -X --request -d --data -A --user-agent -T --timeout -t --tries'.split(
    ' ',
  ),
)

/** The calls of containers whose command is a shell loop around curl, wget or nc: one edge each, as often as the loop sleeps. */
export function commandCalls(spec: PodSpec): Call[] {
  return (spec.containers ?? []).flatMap(loopCalls)
}

/** Options in which a server tells where it is itself found. */
const ownAddress = /advertise|listen|bind/i

/**
 * The calls that the arguments of a program reveal: words, or values of options (`--urls=http://a:80/x,http://b:81`), that are
 * addresses of services. `isService` tells whether a host as seen from the pod names one.
 */
export function argumentCalls(spec: PodSpec, isService: (host: string) => boolean): Call[] {
  return (spec.containers ?? []).flatMap((container) => {
    const words = [...(container.command ?? []), ...(container.args ?? [])]
    return words.flatMap((word, i) => {
      const [, option, value = word] = /^(--?[\w.-]+)=(.*)$/s.exec(word) ?? []
      if (ownAddress.test(option ?? words[i - 1] ?? '')) return []
      const targets = value.split(',').flatMap((part) => targetOf(part.trim()) ?? [])
      return targets.filter(({ host }) => isService(host)).map((call): Call => ({ ...call, origin: 'command' }))
    })
  })
}

function loopCalls(container: Container): Call[] {
  const script = [...(container.command ?? []), ...(container.args ?? [])].join(' ')
  if (!/\b(while|until|for|watch)\b/.test(script)) return []
  const sleep = /\b(?:sleep|watch\s+(?:-n|--interval))\s+(\d+(?:\.\d+)?)/.exec(script)
  const everyMs = sleep ? Math.max(10, Number(sleep[1]) * 1000) : defaultEveryMs
  const calls: Call[] = []
  for (const statement of script.split(/[;&|\n]+|\b(?:do|done|then)\b/)) {
    const words = statement
      .trim()
      .split(/\s+/)
      .map((word) => word.replace(/^["'(`]+|["')`]+$/g, ''))
    const at = words.findIndex((word) => /(^|\/)(curl|wget|nc|ncat)$/.test(word))
    if (at < 0) continue
    const program = (words[at] as string).replace(/^.*\//, '')
    const plain = argumentsOf(words.slice(at + 1), program)
    const target = program === 'curl' || program === 'wget' ? urlCall(plain, everyMs) : socketCall(plain, everyMs)
    if (target !== null) calls.push(target)
  }
  return calls
}

/** Words that are neither options, nor values of options, nor redirections. curl's -O has no value, wget's has. */
function argumentsOf(words: readonly string[], program: string): string[] {
  const plain: string[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    if (/^\d?>/.test(word)) {
      if (/^\d?>+$/.test(word)) i += 1
    } else if (word.startsWith('-')) {
      const takesValue =
        program === 'nc' || program === 'ncat' ? /^-\w*[wp]$/.test(word) : valued.has(word) || /^-q?O$/.test(word)
      if (takesValue && !(program === 'curl' && word === '-O')) i += 1
    } else if (word !== '') plain.push(word)
  }
  return plain
}

function urlCall(words: readonly string[], everyMs: number): Call | null {
  for (const word of words) {
    const match = /^(?:(https?):\/\/)?([a-z0-9][a-z0-9.-]*)(?::(\d{1,5}))?(\/\S*)?$/i.exec(word)
    if (!match) continue
    const [, scheme = 'http', host = '', digits, path = '/'] = match
    const isSecure = scheme.toLowerCase() === 'https'
    return {
      scheme: isSecure ? 'tcp' : 'http',
      host: host.toLowerCase(),
      port: digits === undefined ? (isSecure ? 443 : 80) : Number(digits),
      path,
      everyMs,
      origin: 'command',
    }
  }
  return null
}

function socketCall([host, port]: readonly string[], everyMs: number): Call | null {
  if (host === undefined || !/^\d{1,5}$/.test(port ?? '')) return null
  return { scheme: 'tcp', host: host.toLowerCase(), port: Number(port), path: '/', everyMs, origin: 'command' }
}
