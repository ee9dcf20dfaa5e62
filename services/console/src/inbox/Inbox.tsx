import { Badge, Group, Paper, Stack, Text, Title } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { get, type Message } from '../api.ts'
import { ago } from '../ui/relative-time.ts'
import classes from './Inbox.module.css'

/** Critical from 90, high from 70, medium from 40, low below. */
function severityWord(severity: number): 'Critical' | 'High' | 'Medium' | 'Low' {
  if (severity >= 90) return 'Critical'
  if (severity >= 70) return 'High'
  return severity >= 40 ? 'Medium' : 'Low'
}

/** What happened; severity and alert stand beside it. */
const headlineOf = (message: Message) => message.body.split('\n')[0] || message.subject

const colours = { Critical: 'red', High: 'orange', Medium: 'yellow', Low: 'gray' } as const

/** The messages that alerts sent; the first one a newcomer gets arrives here. */
export function Inbox() {
  const { data } = useQuery({
    queryKey: ['inbox'],
    queryFn: ({ signal }) => get<{ messages: Message[] }>('/v1/inbox?limit=30', signal),
    refetchInterval: 3000,
  })
  const messages = data?.messages ?? []
  return (
    <Paper withBorder p="md" component="section" aria-labelledby="inbox-title">
      <Stack gap="sm">
        <Title order={2} size="h4" id="inbox-title">
          Alert inbox
        </Title>
        {messages.length === 0 && (
          <Text c="dimmed" size="sm">
            No alert has fired yet. Alerts look back every minute; <code>npx margay get globalalerts</code> lists them.
          </Text>
        )}
        <ul className={classes.list}>
          {messages.map((message) => (
            <MessageItem key={message.id} message={message} />
          ))}
        </ul>
      </Stack>
    </Paper>
  )
}

function MessageItem({ message }: { readonly message: Message }) {
  const word = severityWord(message.severity)
  return (
    <li className={classes.item}>
      <Group gap="xs" justify="space-between" wrap="nowrap">
        <Badge size="sm" variant="dot" color={colours[word]} className={classes.badge ?? ''}>
          {word}
        </Badge>
        <Text size="xs" c="dimmed" component="time" dateTime={message.time} title={message.time}>
          {ago(message.time, Date.now())}
        </Text>
      </Group>
      <Text size="sm" mt={4} className={classes.subject ?? ''}>
        {headlineOf(message)}
      </Text>
      <Text size="xs" c="dimmed">
        {message.alert}
        {message.receiver !== 'inbox' ? ` · ${message.receiver}: ${message.state}` : ''}
      </Text>
    </li>
  )
}
