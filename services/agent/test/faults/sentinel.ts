import dgram from 'node:dgram'
import net from 'node:net'

// Traffic that never ends, run inside a pod; tells on standard input's end what it has seen, as one line of JSON.
//   sentinel.ts allowed ADDRESS PORT   a TCP connection and a UDP conversation that must live on, and new connections that must succeed
//   sentinel.ts denied ADDRESS PORT    connections and datagrams none of which may ever be answered

/** What traffic that is allowed has seen. */
export interface AllowedReport {
  /** Echoes over the connection that was open all the time, and those that never came. */
  readonly echoes: number
  readonly missing: number
  /** The open connection was closed or reset. */
  readonly broken: boolean
  /** Longest time without an echo over TCP, milliseconds. */
  readonly longestSilenceMs: number
  readonly datagrams: number
  readonly lostDatagrams: number
  readonly connections: number
  /** New connections that did not open, or only by a repeated SYN, which goes out after a second: their first one was dropped. */
  readonly failedConnections: number
}

/** What traffic that is denied has seen. */
export interface DeniedReport {
  readonly connections: number
  readonly opened: number
  readonly datagrams: number
  readonly answered: number
}

const [verb, address, portText] = process.argv.slice(2)
const port = Number(portText)
const report = (found: AllowedReport | DeniedReport) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit())
}
const udp = dgram.createSocket('udp4')
udp.on('error', () => {})

if (verb === 'allowed') {
  let sent = 0
  let echoes = 0
  let broken = false
  let heard = performance.now()
  let longest = 0
  const tcp = net.connect(port, address)
  tcp.setNoDelay(true)
  tcp.on('data', (chunk) => {
    const now = performance.now()
    longest = Math.max(longest, now - heard)
    heard = now
    echoes += chunk.length
  })
  tcp.on('error', () => {
    broken = true
  })
  tcp.on('close', () => {
    broken = true
  })
  let datagrams = 0
  let back = 0
  udp.on('message', () => {
    back += 1
  })
  let connections = 0
  let failed = 0
  function connect(): void {
    connections += 1
    const one = net.connect(port, address)
    const since = performance.now()
    const patience = setTimeout(() => {
      failed += 1
      one.destroy()
    }, 3000)
    one.on('connect', () => {
      clearTimeout(patience)
      if (performance.now() - since > 950) failed += 1
      one.destroy()
    })
    one.on('error', () => {
      clearTimeout(patience)
      failed += 1
    })
  }
  tcp.once('connect', () => {
    // The conversation is established by its first answer; only then nobody asks policy any more.
    udp.send('x', port, address)
    udp.once('message', () => {
      back = 0
      heard = performance.now()
      process.stdout.write('ready\n')
      const timers = [
        setInterval(() => {
          sent += 1
          tcp.write('x')
          datagrams += 1
          udp.send('x', port, address)
        }, 4),
        setInterval(connect, 25),
      ]
      process.stdin.resume().on('end', () => {
        for (const timer of timers) clearInterval(timer)
        setTimeout(
          () =>
            report({
              echoes,
              missing: sent - echoes,
              broken,
              longestSilenceMs: longest,
              datagrams,
              lostDatagrams: datagrams - back,
              connections,
              failedConnections: failed,
            }),
          3500,
        )
      })
    })
  })
} else {
  let connections = 0
  let opened = 0
  let datagrams = 0
  let answered = 0
  udp.on('message', () => {
    answered += 1
  })
  const timers = [
    setInterval(() => {
      connections += 1
      const one = net.connect(port, address)
      one.on('connect', () => {
        opened += 1
        one.destroy()
      })
      one.on('error', () => {})
      setTimeout(() => one.destroy(), 700)
    }, 8),
    setInterval(() => {
      datagrams += 1
      udp.send('x', port, address)
    }, 4),
  ]
  process.stdout.write('ready\n')
  process.stdin.resume().on('end', () => {
    for (const timer of timers) clearInterval(timer)
    setTimeout(() => report({ connections, opened, datagrams, answered }), 300)
  })
}
