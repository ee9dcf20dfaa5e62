import { describe, expect, it } from 'vitest'
import { kernelObstacle, type Machine } from '../src/prerequisites.ts'

const machine = (more: Partial<Machine> & { missing?: string }): Machine => ({
  platform: 'linux',
  uid: 0,
  run: (program) => (program === more.missing ? `spawn ${program} ENOENT` : null),
  ...more,
})

describe('what the kernel lab needs', () => {
  it.each([
    [{}, null],
    [{ platform: 'darwin', uid: 501 }, /need Linux/],
    [{ uid: 1000 }, /need root/],
    [{ missing: 'ip' }, /install the package iproute2/],
    [{ missing: 'nft' }, /install the package nftables/],
    [{ missing: 'unshare' }, /run on the host, or privileged/],
  ])('%o', (more, expected) => {
    const obstacle = kernelObstacle(machine(more))
    if (expected === null) expect(obstacle).toBeNull()
    else expect(obstacle).toMatch(expected)
  })
})
