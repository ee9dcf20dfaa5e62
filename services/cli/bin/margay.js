#!/usr/bin/env node
import { statSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (statSync(main, { throwIfNoEntry: false }) !== undefined) await import(main.href)
else {
  console.error('margay: not built yet (npm ci builds, unless scripts are switched off): run `npm run build`')
  process.exitCode = 70
}
