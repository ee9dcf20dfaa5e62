import {
  Badge,
  Button,
  Container,
  Grid,
  Group,
  Stack,
  Text,
  Title,
  useComputedColorScheme,
  useMantineColorScheme,
} from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { get, type PipelineStatus } from './api.ts'
import { LiveFlows } from './flows/LiveFlows.tsx'
import { Inbox } from './inbox/Inbox.tsx'
import classes from './Overview.module.css'
import { PipelineStrip } from './pipeline/PipelineStrip.tsx'

/** The one page: is the pipeline well, what flows, what fired. */
export function Overview() {
  const { data, isError } = useQuery({
    queryKey: ['status'],
    queryFn: ({ signal }) => get<PipelineStatus>('/v1/status', signal),
    refetchInterval: 3000,
  })
  const status = isError ? null : (data ?? null)
  return (
    <>
      <a className={classes.skip} href="#main">
        Skip to the flows
      </a>
      <Container size="xl" py="md">
        <Stack gap="md">
          <Group component="header" justify="space-between">
            <Group gap="sm">
              <img src="/icon.svg" alt="" width={28} height={28} />
              <Title order={1} size="h3">
                Margay
              </Title>
              {status !== null && (
                <Text c="dimmed" size="sm">
                  {status.cluster}
                </Text>
              )}
              {status?.simulated && (
                <Badge color="yellow" variant="light" title={status.lab?.reason}>
                  Simulated traffic
                </Badge>
              )}
            </Group>
            <SchemeSwitch />
          </Group>
          {status?.simulated && status.lab?.reason && (
            <Text size="sm" c="dimmed">
              The lab is simulated: {status.lab.reason}
            </Text>
          )}
          <PipelineStrip status={status} />
          <Grid component="main" id="main" gap="md">
            <Grid.Col span={{ base: 12, md: 8, lg: 9 }}>
              <LiveFlows status={status} />
            </Grid.Col>
            <Grid.Col span={{ base: 12, md: 4, lg: 3 }}>
              <Inbox />
            </Grid.Col>
          </Grid>
        </Stack>
      </Container>
    </>
  )
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const other = scheme === 'dark' ? 'light' : 'dark'
  return (
    <Button size="compact-sm" variant="default" onClick={() => setColorScheme(other)}>
      {other === 'dark' ? 'Dark' : 'Light'} theme
    </Button>
  )
}
