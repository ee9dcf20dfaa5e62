/** `14:03:07`, in the reader's zone. */
export const clock = (time: string) => new Date(time).toLocaleTimeString([], { hour12: false })

/** `12 s ago`, `3 min ago`, `2 h ago`, `4 d ago`. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000))
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** `1.2 kB`, `340 B`, `5.0 MB`: decimal units. */
export function size(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = Number(count)
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
