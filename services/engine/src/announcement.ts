import { renameSync, rmSync, writeFileSync } from 'node:fs'

/** Where the embedded engine listens and what it asks for; other processes of the same user read it. */
export interface Announcement {
  readonly url: string
  readonly user: string
  readonly password: string
  readonly pid: number
}

/** Writes the announcement at once and for this user only; it replaces that of an engine that died. */
export function announce(file: string, announcement: Announcement): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(announcement)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Takes the announcement back. */
export function withdraw(file: string): void {
  rmSync(file, { force: true })
}
