import pc from 'picocolors'

/** What `margay up` tells the person who started it: progress, complaints, and where to go. */
export interface Screen {
  step(text: string): void
  done(name: string, detail?: string): void
  warn(name: string, text: string): void
  say(text: string): void
}

/** Complaints of one service in a minute that are shown; the log files have all. */
const complaintsPerMinute = 3

/** Lines with the seconds since the start. */
export function createScreen(write: (line: string) => void, now: () => number = Date.now): Screen {
  const start = now()
  const shown = new Map<string, { minute: number; count: number }>()
  const clock = () => pc.dim(`${((now() - start) / 1000).toFixed(1).padStart(5)}s`)
  return {
    step: (text) => write(`${clock()}   ${text}`),
    done: (name, detail) =>
      write(`${clock()} ${pc.green('✓')} ${name}${detail === undefined ? '' : pc.dim(` ${detail}`)}`),
    warn(name, text) {
      const minute = Math.floor(now() / 60_000)
      const seen = shown.get(name)
      const count = seen?.minute === minute ? seen.count + 1 : 1
      shown.set(name, { minute, count })
      if (count <= complaintsPerMinute) write(`${clock()} ${pc.yellow('!')} ${name}: ${text}`)
    },
    say: write,
  }
}
