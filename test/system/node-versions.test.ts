import { expect, test } from 'vitest'
import { nodeOf, otherMajors } from '../harness/node-versions.ts'
import { runCommand, startProduct, until } from '../harness/product.ts'

for (const major of otherMajors) {
  test(`margay up shows denied flows with the rule on Node ${major}`, async () => {
    const node = await nodeOf(major)
    expect((await runCommand(node, ['--version'])).stdout).toMatch(new RegExp(`^v${major}\\.`))
    const product = await startProduct({ node })
    try {
      const denied = "SELECT count() AS n FROM flows WHERE action = 'deny' AND notEmpty(enforced_policies)"
      await until(
        async () => Number((await product.sql<{ n: string }>(denied))[0]?.n) > 0,
        60_000,
        () => `no denied flow:\n${product.screen()}`,
      )
    } finally {
      await product.stop()
    }
  })
}
