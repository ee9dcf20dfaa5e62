import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeAttributes, decodeMessages, encodeRequest, u32 } from '../../src/netlink/message.ts'

test('a request has the bytes that the kernel expects', () => {
  const bytes = encodeRequest({
    type: 0x401,
    flags: 5,
    sequence: 7,
    family: 0,
    resource: 2,
    attributes: [[1, Uint8Array.of(1)]],
  })
  expect(bytes.toString('hex')).toBe('1c000000010405000700000000000000' + '00000002' + '0500010001000000')
})

test('attributes of any length come back as they went in', () => {
  const attribute = fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 40 }))
  fc.assert(
    fc.property(fc.uniqueArray(attribute, { selector: ([type]) => type, maxLength: 10 }), (attributes) => {
      const [message] = [
        ...decodeMessages(encodeRequest({ type: 1, flags: 0, sequence: 0, family: 0, resource: 0, attributes })),
      ]
      const found = decodeAttributes(message?.payload as Buffer, 4)
      expect([...found].map(([type, value]) => [type, [...value]])).toEqual(attributes.map(([t, v]) => [t, [...v]]))
    }),
  )
})

test('bytes of any content end the walk and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const message of decodeMessages(Buffer.from(bytes))) decodeAttributes(message.payload, 4)
    }),
  )
  const cut = encodeRequest({ type: 1, flags: 0, sequence: 0, family: 0, resource: 0, attributes: [[1, u32(1)]] })
  expect([...decodeMessages(cut.subarray(0, cut.length - 1))]).toEqual([])
})
