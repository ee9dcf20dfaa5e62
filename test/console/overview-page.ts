import type { Locator, Page } from 'playwright-core'

/** The overview in the words of its user; everything is found by role and name. */
export function overviewPage(page: Page, url: string) {
  const flows = page.getByRole('region', { name: 'Flows' })
  return {
    async open(search = ''): Promise<void> {
      await page.goto(`${url}/${search}`)
      await page.getByRole('heading', { name: 'Margay' }).waitFor()
    },
    /** Rows of the flow table, without the heading. */
    rows: (): Locator => flows.getByRole('row').filter({ has: page.getByRole('button') }),
    async ask(query: string): Promise<void> {
      const box = flows.getByRole('textbox', { name: 'Query' })
      await box.fill(query)
      await box.press('Enter')
    },
    queryError: (): Locator => flows.locator('.mantine-InputWrapper-error'),
    async openFirst(): Promise<Locator> {
      await this.rows().first().getByRole('button').click()
      const drawer = page.getByRole('dialog', { name: 'Flow' })
      await drawer.waitFor()
      return drawer
    },
    stages: (): Locator => page.getByRole('region', { name: 'Pipeline health' }).getByRole('listitem'),
    inbox: (): Locator => page.getByRole('region', { name: 'Alert inbox' }),
  }
}
