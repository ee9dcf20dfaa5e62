import { kinds } from '@margay/schemas'
import { Type } from 'typebox'
import type { Server } from '../context.ts'

/** The kinds of resources, so that a client can name and list them. */
export function addKindRoutes(server: Server): void {
  server.route({
    method: 'GET',
    url: '/v1/kinds',
    schema: {
      operationId: 'listKinds',
      tags: ['resources'],
      summary: 'List the kinds of resources',
      response: {
        200: Type.Object({
          kinds: Type.Array(
            Type.Object({
              kind: Type.String(),
              plural: Type.String(),
              shortNames: Type.Array(Type.String()),
              apiVersions: Type.Array(Type.String()),
              namespaced: Type.Boolean(),
            }),
          ),
        }),
      },
    },
    handler: () => ({
      kinds: kinds.map(({ kind, plural, shortNames, apiVersions, namespaced }) => ({
        kind,
        plural,
        shortNames: [...shortNames],
        apiVersions: [...apiVersions],
        namespaced,
      })),
    }),
  })
}
