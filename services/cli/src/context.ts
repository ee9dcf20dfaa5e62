import type { Config } from '@margay/kit/config'
import type { Client } from './client.ts'

/** What every command works with; made once by main. */
export interface Context {
  readonly config: Config
  readonly client: Client
  /** Data for the next program: standard output. */
  out(text: string): void
  /** Talk for the person: standard error. */
  talk(text: string): void
  readonly colour: boolean
  now(): number
  setExit(code: number): void
}
