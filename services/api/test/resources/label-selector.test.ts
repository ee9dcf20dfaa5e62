import { expect, it } from 'vitest'
import { parseLabelSelector } from '../../src/resources/label-selector.ts'

const labels = { app: 'cart', 'example.com/tier': 'front', empty: '' }

it.each([
  ['', true],
  ['app=cart', true],
  ['app == cart', true],
  ['app!=cart', false],
  ['missing!=cart', true],
  ['app', true],
  ['missing', false],
  ['!missing', true],
  ['! app', false],
  ['empty=', true],
  ['app in (shop, cart)', true],
  ['app in (shop)', false],
  ['missing in (shop)', false],
  ['app notin (shop, ledger)', true],
  ['app notin (cart)', false],
  ['missing notin (cart)', true],
  ['app=cart,example.com/tier=front', true],
  ['app in (cart,shop),example.com/tier!=front', false],
])('%s is %s', (text, expected) => {
  expect(parseLabelSelector(text)(labels)).toBe(expected)
})

it.each(['a~b', 'a=b=c', 'in (a)', 'app in cart', 'app in (a', '=x', 'app cart', 'a in (b) c'])(
  '%s cannot be read',
  (text) => {
    expect(() => parseLabelSelector(text)).toThrow(/labelSelector/)
  },
)
