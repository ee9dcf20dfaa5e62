import { MargayError } from '@margay/kit/errors'
import { definitionOf, type EventDefinition, eventOfRow, type ReportFile, selectList, timeText } from '@margay/schemas'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { deadline } from '../deadline.ts'
import { parseMoment } from '../events/time.ts'
import { notFound } from '../problem.ts'
import { select } from '../select.ts'
import { createPermission } from './permission.ts'
import { problems } from './shapes.ts'

const tags = ['reports']
const summaryFields = {
  id: Type.String(),
  name: Type.String({ description: 'name of the GlobalReport' }),
  report_type: Type.String(),
  start_time: Type.String({ format: 'date-time' }),
  end_time: Type.String({ format: 'date-time' }),
  generated_time: Type.String({ format: 'date-time' }),
  complete: Type.Boolean({ description: 'false when evidence was missing' }),
  incomplete_reasons: Type.Array(Type.String()),
  summary: Type.Unknown(),
  files: Type.Array(
    Type.Object({
      name: Type.String(),
      content_type: Type.String(),
      sha256: Type.String(),
      bytes: Type.Integer(),
    }),
  ),
}

/** Columns of a list of reports: everything but the files' contents and the document, which can be large. */
const listColumns = [
  'cluster',
  'id',
  'name',
  'report_type',
  ...['start_time', 'end_time', 'generated_time'].map((column) => `${timeText(column)} AS ${column}`),
  'complete',
  'incomplete_reasons',
  'summary',
  "JSONExtract(files, 'Array(Tuple(name String, content_type String, sha256 String, bytes UInt64))') AS files",
].join(', ')

const report = definitionOf('report') as EventDefinition

/** Rights to reports are those to the GlobalReport they are made by; without a name, to all of them. */
const keyOfReport = (name: string) => `globalreports.projectcalico.org/-/${name}`

/** Compliance reports: list, read, download, and make one now. */
export function addReportRoutes(server: Server, context: ApiContext): void {
  const { clickhouse, config, ask, now } = context
  const permission = createPermission(context)
  const patience = config.api.queryMaxSeconds * 1000

  async function reportOf(request: FastifyRequest, id: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const { rows } = await select(
      clickhouse,
      `SELECT ${selectList(report)} FROM (SELECT * FROM ${report.table} WHERE id = {id:String} ORDER BY generated_time DESC LIMIT 1)`,
      { params: { id }, signal },
    )
    const found = rows[0] === undefined ? null : eventOfRow(report, rows[0])
    await permission.toTouch(request, { verb: 'get', key: keyOfReport(String(found?.name ?? '')) })
    if (found === null) throw notFound(`report ${id}: GET /v1/reports lists them`)
    return found
  }

  server.route({
    method: 'GET',
    url: '/v1/reports',
    schema: {
      operationId: 'listReports',
      tags,
      summary: 'List generated reports, newest first',
      querystring: Type.Object(
        {
          name: Type.Optional(Type.String({ description: 'only those of this GlobalReport' })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({ reports: Type.Array(Type.Object(summaryFields)) }),
        ...problems(400, 403, 503, 504),
      },
    },
    async handler(request, reply) {
      const { name, limit = 100 } = request.query
      await permission.toTouch(request, { verb: 'list', key: keyOfReport(name ?? '') })
      const where = name === undefined ? '' : ' WHERE name = {name:String}'
      const { rows } = await select(
        clickhouse,
        `SELECT ${listColumns} FROM (SELECT * FROM ${report.table}${where} ORDER BY generated_time DESC LIMIT 1 BY id LIMIT ${limit})`,
        { params: name === undefined ? {} : { name }, signal: deadline(reply, patience) },
      )
      return {
        reports: rows.map((row) => ({
          ...row,
          summary: JSON.parse(String(row.summary) || 'null') as unknown,
        })) as never,
      }
    },
  })

  server.route({
    method: 'GET',
    url: '/v1/reports/:id',
    schema: {
      operationId: 'getReport',
      tags,
      summary: 'Read one report with its data document',
      params: Type.Object({ id: Type.String() }),
      response: {
        200: Type.Object({ ...summaryFields, document: Type.Unknown() }),
        ...problems(403, 404, 503, 504),
      },
    },
    async handler(request, reply) {
      const found = await reportOf(request, request.params.id, deadline(reply, patience))
      const files = (found.files as ReportFile[]).map(({ content: _content, ...about }) => about)
      return { ...found, files } as never
    },
  })

  server.route({
    method: 'GET',
    url: '/v1/reports/:id/files/:file',
    schema: {
      operationId: 'downloadReportFile',
      tags,
      summary: 'Download one file of a report',
      params: Type.Object({ id: Type.String(), file: Type.String() }),
      response: {
        200: { description: 'the file, with its own content type', content: { '*/*': { schema: Type.String() } } },
        ...problems(403, 404, 503, 504),
      },
    },
    async handler(request, reply) {
      const { id, file } = request.params
      const found = await reportOf(request, id, deadline(reply, patience))
      const files = found.files as ReportFile[]
      const wanted = files.find(({ name }) => name === file)
      if (wanted === undefined) {
        throw notFound(
          `file ${JSON.stringify(file)} in this report: it has ${files.map(({ name }) => name).join(', ') || 'none'}`,
        )
      }
      return reply
        .headers({
          'content-type': wanted.content_type,
          'content-disposition': attachment(`${String(found.name)}-${wanted.name}`),
          // A report's page is data, never a page of ours.
          'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
          etag: `"${wanted.sha256}"`,
        })
        .send(wanted.content as never)
    },
  })

  server.route({
    method: 'POST',
    url: '/v1/reports/:name/run',
    schema: {
      operationId: 'runReport',
      tags,
      summary: 'Make a report of a GlobalReport now',
      params: Type.Object({ name: Type.String() }),
      body: Type.Object(
        {
          start: Type.String({ description: 'RFC 3339 or now-24h' }),
          end: Type.String({ description: 'RFC 3339 or now' }),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({ id: Type.String({ description: 'id of the report' }) }, { additionalProperties: true }),
        ...problems(400, 403, 404, 503),
      },
    },
    async handler(request) {
      // Whoever may change a GlobalReport may have it made.
      await permission.toTouch(request, { verb: 'update', key: keyOfReport(request.params.name) })
      const start = parseMoment(request.body.start, 'start', now())
      const end = parseMoment(request.body.end, 'end', now())
      if (start >= end) throw new MargayError('REQUEST_INVALID', 'start must be before end', { status: 400 })
      return (await ask({
        service: 'compliance',
        method: 'POST',
        path: `/reports/${encodeURIComponent(request.params.name)}/run`,
        body: { start: new Date(start).toISOString(), end: new Date(end).toISOString() },
        timeoutMs: patience,
      })) as { id: string }
    },
  })
}

/** Content-Disposition with a name that any header may carry, and the exact one beside it (RFC 6266). */
function attachment(name: string): string {
  const plain = name.replace(/[^\w.-]/g, '_')
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`
}
