import type { Message } from '@margay/alerts/message'

/** A message as the evaluator makes it. */
export function aMessage(rest: Partial<Message> = {}): Message {
  return {
    key: 'e1',
    alert: 'network.lateral.access',
    group: 'source_namespace=default',
    eventIds: ['e1'],
    total: 1,
    severity: 100,
    time: Date.parse('2026-03-01T10:00:00Z'),
    subject: '[Critical] network.lateral.access: source_namespace=default',
    text: 'pod default/centos attempted access to a monitored pod',
    facts: [
      { label: 'source_namespace', value: 'default' },
      { label: 'sum', value: '2' },
    ],
    isRepeat: false,
    isSimulated: false,
    ...rest,
  }
}
