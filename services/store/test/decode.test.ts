import { audit, flow } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { aFlow } from '../../../test/harness/flow.ts'
import { deadLetterRecord, decode } from '../src/decode.ts'
import { aRecord, time, topic } from './fakes.ts'

const read = (lines: (string | object)[], headers = {}) => decode(flow, aRecord(7, lines, headers), time + 5)

describe('a block', () => {
  it('becomes rows that say when they came and where they lie in the log', () => {
    const { rows, deadLetters } = read([aFlow({ num_flows: 1 }), aFlow({ num_flows: 2 })])
    expect(deadLetters).toEqual([])
    expect(rows.map((row) => JSON.parse(row.text))).toEqual([
      { ...aFlow({ num_flows: 1 }), ingest_time: time + 5, log_partition: 0, log_offset: 7, log_index: 0 },
      { ...aFlow({ num_flows: 2 }), ingest_time: time + 5, log_partition: 0, log_offset: 7, log_index: 1 },
    ])
  })

  it('keeps white space and braces in values apart from those of the line', () => {
    const line = ` ${JSON.stringify(aFlow({ source_name: 'a } b' }))} `
    expect(JSON.parse(read([line]).rows[0]?.text as string)).toMatchObject({ source_name: 'a } b', log_index: 0 })
  })

  it.each([
    ['json', '{"cluster": ', 'the line is not JSON'],
    ['json', '\u0000\u0001', 'the line is not JSON'],
    ['invalid', '[]', expect.any(String)],
    ['invalid', 'null', expect.any(String)],
    ['invalid', '{}', expect.stringContaining('is missing')],
    ['invalid', JSON.stringify({ ...aFlow(), action: 'maybe' }), expect.stringContaining('action')],
    ['invalid', JSON.stringify({ ...aFlow(), source_ip: '10.0.0.300' }), expect.stringContaining('source_ip')],
    ['reserved', JSON.stringify({ ...aFlow(), log_offset: 1 }), 'log_offset is written by the store'],
    ['time', JSON.stringify(aFlow({ end_time: time - 9 * 86_400_000 })), 'end_time is older than the table keeps'],
    ['time', JSON.stringify(aFlow({ end_time: time + 2 * 86_400_000 })), 'end_time is in the future'],
  ])('gives up a line for the reason %s and keeps the others', (reason, line, detail) => {
    const { rows, deadLetters } = read([aFlow(), line, aFlow()])
    expect(rows.map((row) => row.index)).toEqual([0, 2])
    expect(deadLetters).toEqual([{ reason, detail, offset: 7, index: 1, value: Buffer.from(line) }])
  })

  it('says nothing of the values of a line that it gives up', () => {
    const secret = 'secret-value-4711'
    const lines = [
      { ...aFlow(), action: secret },
      { ...aFlow(), bytes_in: secret },
      `{"${secret}`,
      { ...aFlow(), source_ip: secret },
    ]
    for (const { detail } of read(lines).deadLetters) expect(detail).not.toContain(secret)
  })

  it.each([
    { 'content-type': 'application/vnd.apache.arrow.stream' },
    { schema: 'flow/2' },
    { schema: 'dns/1' },
    { schema: 'flow/x' },
  ])('is given up whole when its headers are %j', (headers) => {
    const { rows, deadLetters } = read([aFlow()], headers)
    expect(rows).toEqual([])
    expect(deadLetters).toMatchObject([{ reason: 'block', index: -1, value: Buffer.from(JSON.stringify(aFlow())) }])
  })

  it('is flattened where the table is flat and the event is not', () => {
    const event = {
      cluster: 'c',
      host: 'h',
      name: 'ee_audit',
      level: 'RequestResponse',
      auditID: 'a',
      stage: 'ResponseComplete',
      requestURI: '/',
      verb: 'create',
      user: { username: 'jane' },
      requestReceivedTimestamp: time,
      stageTimestamp: time,
      objectRef: { resource: 'tiers', name: 'security' },
    }
    const { rows, deadLetters } = decode(audit, { ...aRecord(1, [event]), topic: 'margay.audit.v1' }, time)
    expect(deadLetters.map((letter) => letter.detail)).toEqual([])
    expect(JSON.parse(rows[0]?.text as string)).toMatchObject({
      user_username: 'jane',
      objectRef_name: 'security',
      log_offset: 1,
    })
  })

  it('goes to the dead letters with its place and reason', () => {
    const letter = { reason: 'json', detail: 'd', offset: 3, index: 4, value: Buffer.from('x') } as const
    expect(deadLetterRecord(topic, 2, letter)).toEqual({
      topic: `${topic}.dlq`,
      key: '2/3/4',
      value: Buffer.from('x'),
      headers: {
        reason: 'json',
        detail: 'd',
        'source-topic': topic,
        'source-partition': '2',
        'source-offset': '3',
        'source-index': '4',
      },
    })
  })
})
