import type { Kafka } from 'kafkajs'
import { MargayError } from '../../errors.ts'
import type { Position } from '../../event-log.ts'
import type { Catalog } from './catalog.ts'
import type { Watch } from './client.ts'

/** Offsets of consumer groups. */
export interface Groups {
  committed(group: string, topic: string): Promise<{ partition: number; offset: number }[]>
  /** Rejects with LOG_GROUP_ACTIVE when the group has a running member. */
  seek(group: string, position: Position): Promise<void>
  /** Remembers the ends of topics as the offsets of a group that has none, so that a crash before its first commit skips nothing. */
  beginAtEnd(group: string, topics: readonly string[]): Promise<void>
}

type Offsets = { partition: number; offset: string }[]

/** Makes the groups of a client. */
export function createGroups(kafka: Kafka, catalog: Catalog, watch: Watch): Groups {
  /** Commits offsets of a group that nobody is in: joins it, reads nothing, leaves. kafkajs's own way waits five seconds for a fetch. */
  async function put(group: string, topic: string, partitions: Offsets): Promise<void> {
    const member = kafka.consumer({ groupId: group, maxWaitTimeInMs: 50, allowAutoTopicCreation: false })
    try {
      await watch.run('offset of a group not moved', async () => {
        const joined = new Promise<void>((resolve, reject) => {
          member.on(member.events.GROUP_JOIN, () => resolve())
          member.on(member.events.CRASH, ({ payload }) => reject(payload.error))
        })
        joined.catch(() => {}) // seen below, unless connecting fails first
        await member.connect()
        await member.subscribe({ topics: [topic], fromBeginning: true })
        await member.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async () => {} })
        member.pause([{ topic }])
        await joined
        await member.commitOffsets(partitions.map((entry) => ({ topic, ...entry })))
      })
    } finally {
      await member.disconnect().catch(() => {})
    }
  }

  async function committed(group: string, topic: string): Promise<{ partition: number; offset: number }[]> {
    await catalog.partitions(topic)
    const [answer] = await catalog.administer('offsets of a group not read', (admin) =>
      admin.fetchOffsets({ groupId: group, topics: [topic] }),
    )
    return (answer?.partitions ?? [])
      .map(({ partition, offset }) => ({ partition, offset: Number(offset) }))
      .filter(({ offset }) => offset >= 0)
      .sort((a, b) => a.partition - b.partition)
  }

  async function isActive(group: string): Promise<boolean> {
    const { groups } = await catalog.administer('group not described', (admin) => admin.describeGroups([group]))
    return groups.some(({ members }) => members.length > 0)
  }

  return {
    committed,
    async seek(group, { topic, partition, offset }) {
      await catalog.check(topic, partition)
      if (await isActive(group)) {
        throw new MargayError(
          'LOG_GROUP_ACTIVE',
          `group ${group} has a running member; stop it before moving its offset`,
          {
            status: 409,
          },
        )
      }
      await put(group, topic, [{ partition, offset: String(offset) }])
    },
    async beginAtEnd(group, topics) {
      for (const topic of topics) {
        const count = await catalog.partitions(topic)
        const known = new Set((await committed(group, topic)).map(({ partition }) => partition))
        if (known.size === count || (await isActive(group))) continue
        const ends = await catalog.read('ends of a topic not found', (reader) => reader.locate(topic, count, 'decided'))
        const partitions = ends
          .map((offset, partition) => ({ partition, offset: String(offset ?? 0) }))
          .filter(({ partition }) => !known.has(partition))
        await put(group, topic, partitions)
      }
    },
  }
}
