import { Button, Group, TextInput } from '@mantine/core'
import { useHotkeys } from '@mantine/hooks'
import { useEffect, useRef, useState } from 'react'

/** Saved questions that a newcomer asks first. */
const examples = [
  { label: 'All', query: '' },
  { label: 'Denied', query: 'action = deny' },
  { label: 'To the internet', query: 'dest_type = net' },
  { label: 'Without DNS', query: 'NOT dest_port = 53' },
] as const

/** The query that the flows below answer. Enter runs it, / goes to it. */
export function QueryBar({
  query,
  error,
  onRun,
}: {
  readonly query: string
  readonly error: string | null
  readonly onRun: (query: string) => void
}) {
  const [text, setText] = useState(query)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => setText(query), [query])
  useHotkeys([['/', () => input.current?.focus()]])
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        onRun(text.trim())
      }}
    >
      <Group gap="xs" align="flex-start">
        <TextInput
          ref={input}
          aria-label="Query"
          placeholder="action = deny AND dest_namespace = default"
          value={text}
          error={error}
          onChange={(event) => setText(event.currentTarget.value)}
          style={{ flex: '1 1 18rem' }}
          spellCheck={false}
          autoCapitalize="off"
        />
        <Button type="submit" variant="default">
          Run
        </Button>
      </Group>
      <Group gap={6} mt={6}>
        {examples.map((example) => (
          <Button
            key={example.label}
            size="compact-xs"
            variant={example.query === query ? 'filled' : 'default'}
            aria-pressed={example.query === query}
            onClick={() => onRun(example.query)}
          >
            {example.label}
          </Button>
        ))}
      </Group>
    </form>
  )
}
