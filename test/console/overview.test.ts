import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, hasChromium, startBrowser } from '../harness/browser.ts'
import { type Product, startProduct, until } from '../harness/product.ts'
import { overviewPage } from './overview-page.ts'

const shots = fileURLToPath(new URL('./shots/', import.meta.url))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Serious and critical findings of axe on the page as it stands. */
async function accessibilityFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const results = await page.evaluate(
    'axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => ({ id: v.id, impact: v.impact, targets: v.nodes.map((n) => n.target.join(" ")) })))',
  )
  return (results as { id: string; impact: string; targets: string[] }[])
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.targets.join(', ')}`)
}

describe.skipIf(!hasChromium)('the console on a running product (needs Chromium)', () => {
  let product: Product
  let browser: Browser

  beforeAll(async () => {
    product = await startProduct()
    browser = await startBrowser()
    await until(
      async () =>
        Number((await product.sql<{ n: string }>("SELECT count() AS n FROM flows WHERE action = 'deny'"))[0]?.n) > 0,
      60_000,
      () => `no denied flow:\n${product.screen()}`,
    )
    // Alerts look at whole minutes: the first message is there after one.
    await until(
      async () => (await product.margay('inbox', '-o', 'json')).stdout.includes('network.lateral.access'),
      120_000,
      () => `no message in the inbox:\n${product.screen()}`,
    )
  })
  afterAll(async () => {
    await browser?.close()
    await product?.stop()
  })

  for (const scheme of ['light', 'dark'] as const) {
    for (const [size, width, height] of [
      ['', 1440, 900],
      ['-narrow', 390, 844],
    ] as const) {
      test(`shows live flows with verdict and deciding rule, ${scheme}${size}`, async () => {
        const page = await browser.page({ width, height, scheme })
        const failures: string[] = []
        page.on('console', (message) => message.type() === 'error' && failures.push(message.text()))
        page.on('pageerror', (error) => failures.push(error.message))
        const overview = overviewPage(page, product.url)
        await overview.open()
        await overview.rows().nth(5).waitFor()
        expect(await overview.stages().count()).toBeGreaterThanOrEqual(6)
        await page.screenshot({ path: `${shots}console-${scheme}${size}.png` })
        expect(
          await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'),
        ).toBe(true)
        expect(await accessibilityFindings(page)).toEqual([])
        expect(failures).toEqual([])
      })
    }
  }

  test('from the list of denied flows one click leads to the rule that denied', async () => {
    const page = await browser.page({ width: 1440, height: 900, scheme: 'light' })
    const overview = overviewPage(page, product.url)
    await overview.open()
    await overview.ask('action = deny')
    await page.waitForURL(/q=action/)
    await overview.rows().first().getByText('Denied').waitFor()
    const drawer = await overview.openFirst()
    await drawer.getByText(/was denied .* (rule \d+ of|at the end of tier)/).waitFor()
    await page.screenshot({ path: `${shots}denied-flow.png` })
    expect(await accessibilityFindings(page)).toEqual([])
    await page.keyboard.press('Escape')
    await drawer.waitFor({ state: 'hidden' })
  })

  test('a wrong query says what is wrong and keeps what was typed', async () => {
    const page = await browser.page({ width: 1440, height: 900, scheme: 'light' })
    const overview = overviewPage(page, product.url)
    await overview.open('?q=actoin+%3D+deny')
    await overview.queryError().waitFor()
    expect(await overview.queryError().textContent()).toMatch(/actoin/)
  })

  test('new flows arrive by themselves, and wait while the page is paused', async () => {
    const page = await browser.page({ width: 1440, height: 900, scheme: 'light' })
    const overview = overviewPage(page, product.url)
    await overview.open()
    await overview.rows().first().waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText(/\d+ new/).waitFor({ timeout: 30_000 })
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByText(/\d+ new/).waitFor({ state: 'hidden' })
  })
})
