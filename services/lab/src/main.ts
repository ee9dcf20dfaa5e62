import { serve } from '@margay/kit/service'
import { labComponents } from './components.ts'
import { runTrial } from './prerequisites.ts'

// The programs of the lab are in the folders of the administrator, which a user's path may lack.
process.env.PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`

await serve('lab', (context) =>
  labComponents(context, {
    platform: process.platform,
    uid: process.getuid?.(),
    run: runTrial,
    tell: (message) => process.send?.(message),
  }),
)
