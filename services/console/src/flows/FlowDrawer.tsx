import { Badge, Code, CopyButton, Drawer, Group, Stack, Table, Text, UnstyledButton } from '@mantine/core'
import type { TraceEntry } from '@margay/schemas'
import type { ReactNode } from 'react'
import type { Flow } from '../api.ts'
import { size } from '../ui/relative-time.ts'
import { Verdict } from '../ui/Verdict.tsx'
import classes from './FlowDrawer.module.css'
import { destinationOf, portOf, sentenceOf, sourceOf, traceOf } from './sentence.ts'

/** All that is known of one flow, the reason first. */
export function FlowDrawer({ flow, onClose }: { readonly flow: Flow | null; readonly onClose: () => void }) {
  return (
    <Drawer
      opened={flow !== null}
      onClose={onClose}
      position="right"
      size="lg"
      title="Flow"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {flow !== null && <FlowDetails flow={flow} />}
    </Drawer>
  )
}

function FlowDetails({ flow }: { readonly flow: Flow }) {
  const enforced = traceOf(flow.enforced_policies)
  const differs = flow.pending_policies.length > 0 && flow.pending_policies.join() !== flow.enforced_policies.join()
  const source = `${sourceOf(flow)}`
  const target = `${destinationOf(flow)}${portOf(flow)}`
  const command = `npx margay lab probe ${source} ${target}`
  return (
    <Stack gap="lg">
      <Text fw={500}>{sentenceOf(flow)}</Text>
      {flow.simulated && (
        <Badge color="yellow" variant="light">
          Simulated: no kernel saw this
        </Badge>
      )}
      <section>
        <h3 className={classes.heading}>What decided</h3>
        <Trace entries={enforced} />
      </section>
      {differs && (
        <section>
          <h3 className={classes.heading}>If it began now</h3>
          <Text size="sm" c="dimmed" mb="xs">
            With the policies of now, staged ones as if enforced.
          </Text>
          <Trace entries={traceOf(flow.pending_policies)} />
        </section>
      )}
      <section>
        <h3 className={classes.heading}>Both ends</h3>
        <Table withRowBorders={false} verticalSpacing={2} layout="fixed">
          <Table.Tbody>
            <Fact name="Source">
              {source}{' '}
              {flow.source_ip !== null && (
                <Text span inherit c="dimmed">
                  {flow.source_ip}
                </Text>
              )}
            </Fact>
            <Fact name="Destination">
              {target}{' '}
              {flow.dest_ip !== null && (
                <Text span inherit c="dimmed">
                  {flow.dest_ip}
                </Text>
              )}
            </Fact>
            {flow.dest_service_name !== '-' && flow.dest_service_name !== '' && (
              <Fact name="Through service">
                {flow.dest_service_namespace}/{flow.dest_service_name}
              </Fact>
            )}
            <Fact name="Source labels">
              <Labels labels={flow.source_labels} />
            </Fact>
            <Fact name="Destination labels">
              <Labels labels={flow.dest_labels} />
            </Fact>
            <Fact name="Reported by">
              {flow.reporter === 'dst' ? 'the destination' : 'the source'}, node {flow.host}
            </Fact>
            <Fact name="Connections">
              {flow.num_flows} seen, {flow.num_flows_started} started, {flow.num_flows_completed} completed
            </Fact>
            <Fact name="Traffic">
              {size(flow.bytes_in)} in ({flow.packets_in} packets), {size(flow.bytes_out)} out ({flow.packets_out}{' '}
              packets)
            </Fact>
          </Table.Tbody>
        </Table>
      </section>
      {flow.source_type === 'wep' && (
        <section>
          <h3 className={classes.heading}>Try it again</h3>
          <Group gap="xs" wrap="nowrap">
            <Code className={classes.command ?? ''}>{command}</Code>
            <CopyButton value={command}>
              {({ copied, copy }) => (
                <UnstyledButton className={classes.copy ?? ''} onClick={copy}>
                  {copied ? 'Copied' : 'Copy'}
                </UnstyledButton>
              )}
            </CopyButton>
          </Group>
        </section>
      )}
    </Stack>
  )
}

function Trace({ entries }: { readonly entries: readonly TraceEntry[] }) {
  if (entries.length === 0) return <Text size="sm">No rule was recorded.</Text>
  return (
    <ol className={classes.trace}>
      {entries.map((entry, i) => (
        <li
          key={entry.index}
          className={i === entries.length - 1 ? classes.deciding : classes.step}
          aria-current={i === entries.length - 1 ? 'step' : undefined}
        >
          <Text size="xs" c="dimmed">
            {entry.ref.tier === '__PROFILE__' ? 'profile' : `tier ${entry.ref.tier}`}
            {entry.staged ? ' · staged' : ''}
          </Text>
          <Group justify="space-between" wrap="nowrap" gap="xs">
            <span className={classes.policy}>
              {entry.ref.namespace === null ? '' : `${entry.ref.namespace}/`}
              {entry.ref.name}
              {entry.ruleIndex >= 0 ? (
                <Text span inherit c="dimmed">
                  {' '}
                  rule {entry.ruleIndex}
                </Text>
              ) : (
                <Text span inherit c="dimmed">
                  {' '}
                  no rule matched: end of tier
                </Text>
              )}
            </span>
            <Verdict action={entry.action} />
          </Group>
        </li>
      ))}
    </ol>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <Table.Tr>
      <Table.Th className={classes.factName ?? ''} scope="row">
        {name}
      </Table.Th>
      <Table.Td className={classes.factValue ?? ''}>{children}</Table.Td>
    </Table.Tr>
  )
}

function Labels({ labels }: { readonly labels: readonly string[] }) {
  if (labels.length === 0)
    return (
      <Text span inherit c="dimmed">
        none
      </Text>
    )
  return (
    <Group gap={4}>
      {labels.map((label) => (
        <Code key={label}>{label}</Code>
      ))}
    </Group>
  )
}
