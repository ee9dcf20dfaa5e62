import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

const chromiumPath = '/usr/bin/chromium'

/** Whether this machine has the browser that the tests drive. */
export const hasChromium = existsSync(chromiumPath)

/** A browser of its own for a test. */
export interface Browser {
  /** A page of its own session at a size and colour scheme. */
  page(options: { width: number; height: number; scheme: 'light' | 'dark' }): Promise<Page>
  close(): Promise<void>
}

/** A headless Chromium with an empty profile that asks nobody outside the page. */
export async function startBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'margay-browser-'))
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--crash-dumps-dir=${profile}`,
    ],
  })
  const contexts: BrowserContext[] = []
  return {
    async page({ width, height, scheme }) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: scheme,
        reducedMotion: 'reduce',
      })
      contexts.push(context)
      return context.newPage()
    },
    async close() {
      for (const context of contexts) await context.close()
      await browser.close()
      rmSync(profile, { recursive: true, force: true })
    },
  }
}
