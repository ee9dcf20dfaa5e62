import { Table, Text, UnstyledButton } from '@mantine/core'
import type { Flow } from '../api.ts'
import { clock } from '../ui/relative-time.ts'
import { Verdict } from '../ui/Verdict.tsx'
import classes from './FlowTable.module.css'
import {
  type Decider,
  deciderOf,
  destinationEnd,
  destinationOf,
  type End,
  portOf,
  sourceEnd,
  sourceOf,
} from './sentence.ts'

/** Newest flows first: when, who, to whom, the verdict, and the rule that gave it. */
export function FlowTable({
  flows,
  onOpen,
}: {
  readonly flows: readonly Flow[]
  readonly onOpen: (flow: Flow) => void
}) {
  return (
    <div className={classes.scroll}>
      <Table className={classes.table} highlightOnHover verticalSpacing={6} stickyHeader>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className={classes.time}>Time</Table.Th>
            <Table.Th>Source → destination</Table.Th>
            <Table.Th className={classes.verdict}>Verdict</Table.Th>
            <Table.Th className={classes.rule}>Deciding rule</Table.Th>
            <Table.Th className={classes.count}>Flows</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {flows.map((flow) => (
            <FlowRow key={keyOf(flow)} flow={flow} onOpen={onOpen} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

function FlowRow({ flow, onOpen }: { readonly flow: Flow; readonly onOpen: (flow: Flow) => void }) {
  const decider = deciderOf(flow)
  return (
    <Table.Tr className={flow.action === 'deny' ? (classes.denied ?? '') : ''}>
      <Table.Td className={classes.time}>
        <time dateTime={flow.end_time}>{clock(flow.end_time)}</time>
      </Table.Td>
      <Table.Td className={classes.pair}>
        <UnstyledButton className={classes.open ?? ''} onClick={() => onOpen(flow)}>
          <EndName end={sourceEnd(flow)} />
          <span className={classes.arrow}> → </span>
          <EndName end={destinationEnd(flow)} suffix={portOf(flow)} />
        </UnstyledButton>
        <Text component="span" size="xs" c="dimmed" className={classes.notes ?? ''}>
          {flow.proto} · {flow.reporter === 'dst' ? 'ingress' : 'egress'}
          {flow.simulated ? ' · simulated' : ''}
          <span className={classes.narrow}>{decider === null ? '' : ` · ${decider.policy}, ${ruleText(decider)}`}</span>
        </Text>
      </Table.Td>
      <Table.Td className={classes.verdict}>
        <Verdict action={flow.action} />
      </Table.Td>
      <Table.Td className={classes.rule}>
        {decider === null ? (
          <Text span c="dimmed">
            none
          </Text>
        ) : (
          <>
            <span className={classes.policy}>{decider.policy}</span>
            <Text component="span" size="xs" c="dimmed" className={classes.notes ?? ''}>
              {ruleText(decider)}
            </Text>
          </>
        )}
      </Table.Td>
      <Table.Td className={classes.count}>{flow.num_flows}</Table.Td>
    </Table.Tr>
  )
}

const ruleText = ({ tier, rule }: Decider) => (tier === 'profile' ? 'no policy selects it' : `${rule} · tier ${tier}`)

function EndName({ end, suffix = '' }: { readonly end: End; readonly suffix?: string }) {
  return (
    <span>
      {end.main}
      <span className={classes.rest}>{end.rest}</span>
      <span className={classes.port}>{suffix}</span>
    </span>
  )
}

/** Tells rows apart: the interval, the reporting end and both ends with the trace. */
function keyOf(flow: Flow): string {
  return [
    flow.end_time,
    flow.host,
    flow.reporter,
    sourceOf(flow),
    flow.source_port,
    destinationOf(flow),
    flow.dest_ip,
    flow.dest_port,
    flow.proto,
    flow.enforced_policies.join(),
  ].join('|')
}
