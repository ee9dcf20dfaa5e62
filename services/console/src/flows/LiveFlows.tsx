import { Badge, Button, Group, Paper, Stack, Text, Title } from '@mantine/core'
import { useState } from 'react'
import type { Flow, PipelineStatus } from '../api.ts'
import { useView } from '../view.ts'
import { FlowDrawer } from './FlowDrawer.tsx'
import { FlowTable } from './FlowTable.tsx'
import { QueryBar } from './QueryBar.tsx'
import { useLiveFlows } from './use-live-flows.ts'

/** Flows as they arrive, with the verdict and the rule that gave it. */
export function LiveFlows({ status }: { readonly status: PipelineStatus | null }) {
  const [view, change] = useView()
  const [open, setOpen] = useState<Flow | null>(null)
  const live = useLiveFlows(view.query, view.paused || open !== null)
  return (
    <Paper withBorder p="md" component="section" aria-labelledby="flows-title">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h4" id="flows-title">
            Flows
          </Title>
          <Group gap="xs">
            {live.waiting > 0 && <Badge variant="light">{live.waiting} new</Badge>}
            {live.state === 'broken' && (
              <Badge color="yellow" variant="light">
                Reconnecting
              </Badge>
            )}
            <Button
              size="compact-sm"
              variant="default"
              aria-pressed={view.paused}
              onClick={() => change({ paused: !view.paused })}
            >
              {view.paused ? 'Resume' : 'Pause'}
            </Button>
          </Group>
        </Group>
        <QueryBar query={view.query} error={live.error?.message ?? null} onRun={(query) => change({ query })} />
        {live.flows.length > 0 ? (
          <FlowTable flows={live.flows} onOpen={setOpen} />
        ) : (
          <Text c="dimmed" py="xl" ta="center">
            {emptyReason(status, view.query, live.state)}
          </Text>
        )}
      </Stack>
      <FlowDrawer flow={open} onClose={() => setOpen(null)} />
    </Paper>
  )
}

/** Why there is nothing to see, from what the pipeline says of itself. */
function emptyReason(status: PipelineStatus | null, query: string, state: 'loading' | 'live' | 'broken'): string {
  if (state === 'broken' || status === null) return 'The API does not answer. The page connects again by itself.'
  if (status.clickhouse.state !== 'ok')
    return `ClickHouse does not answer${status.clickhouse.reason ? `: ${status.clickhouse.reason}` : ''}. New flows show as soon as they arrive.`
  const agents = status.services.filter((s) => s.service === 'agent' || s.service === 'lab')
  const broken = agents.find((s) => s.state !== 'ok')
  if (broken !== undefined)
    return `${broken.service} on ${broken.host} is ${broken.state}${broken.reason ? `: ${broken.reason}` : ''}.`
  if (agents.length === 0) return 'No agent has reported yet. Flows come from agents.'
  if (query !== '' && (status.flows?.lastMinute ?? 0) > 0)
    return `No flow of the last 30 minutes matches. ${status.flows?.lastMinute} flows arrived in the last minute.`
  if (state === 'loading') return 'Reading the last 30 minutes.'
  return 'No flow yet: agents send them every few seconds.'
}
