import { setFlagsFromString } from 'node:v8'

// Before anything else is loaded: V8 doubles the room for new objects whenever they survive, as modules do while they are loaded, and
// never gives it back: 25 MiB of an agent that then does nothing. Loading 5,000 policies takes as long with what it begins with.
setFlagsFromString('--semi-space-growth-factor=1')

const { serveAgent } = await import('./service.ts')
await serveAgent({ uninstall: process.argv.includes('--uninstall') })
