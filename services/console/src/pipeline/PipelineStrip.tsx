import { Group, Paper, Text, Tooltip } from '@mantine/core'
import type { PipelineStatus } from '../api.ts'
import classes from './PipelineStrip.module.css'
import { type Stage, stagesOf } from './stages.ts'

/** The life of an event from left to right, each stage with its state and one number. */
export function PipelineStrip({ status }: { readonly status: PipelineStatus | null }) {
  return (
    <Paper withBorder px="md" py="xs" component="section" aria-label="Pipeline health">
      <Group gap="xs" component="ol" className={classes.list ?? ''}>
        {stagesOf(status).map((stage) => (
          <StageItem key={stage.name} stage={stage} />
        ))}
      </Group>
    </Paper>
  )
}

function StageItem({ stage }: { readonly stage: Stage }) {
  const sign = { ok: '●', degraded: '▲', down: '■', unknown: '○' }[stage.state]
  return (
    <li className={classes.item}>
      <Tooltip
        label={stage.reason}
        disabled={stage.reason === ''}
        multiline
        maw={360}
        events={{ hover: true, focus: true, touch: true }}
      >
        <span className={classes.stage} tabIndex={stage.reason === '' ? -1 : 0}>
          <span className={classes[stage.state]} aria-hidden>
            {sign}
          </span>
          <Text component="span" size="sm" fw={500}>
            {stage.name}
          </Text>
          <Text component="span" size="sm" c="dimmed">
            {stage.detail}
          </Text>
        </span>
      </Tooltip>
    </li>
  )
}
