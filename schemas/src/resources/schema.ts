import { type TSchema, Type } from 'typebox'

/** Short forms for resource schemas. */
export const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)
/** One of the values and nothing else. */
export const oneOf = <const V extends readonly (string | number)[]>(values: V) =>
  Type.Unsafe<V[number]>(Type.Union(values.map((value) => Type.Literal(value))))
/** Text that a named format checks. */
export const formatted = (format: string, maxLength?: number) =>
  Type.String(maxLength === undefined ? { format } : { format, maxLength })
/** Text that is a selector. */
export const selector = () => formatted('selector', 1024)
/** Texts by key, such as labels. */
export const stringMap = () => Type.Record(Type.String(), Type.String())
/** An object whose members are not looked at. */
export const anything = () => Type.Object({}, { additionalProperties: true })
/** A status, which only the system writes. */
export const status = () => Type.Optional(Type.Unknown())
/** A protocol by name or number. */
export const protocol = () =>
  Type.Unsafe<string | number>(
    Type.Union([
      ...['TCP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite'].map((name) => Type.Literal(name)),
      Type.Integer({ minimum: 1, maximum: 255 }),
    ]),
  )
/** A port number, a range `first:last`, or the name of a port. */
export const port = () =>
  Type.Unsafe<string | number>(
    Type.Union([Type.Integer({ minimum: 1, maximum: 65535 }), Type.String({ minLength: 1 })]),
  )
/** `{key, operator, values}` and `{matchLabels}` of Kubernetes. */
export const labelSelector = () =>
  Type.Object({
    matchLabels: optional(stringMap()),
    matchExpressions: optional(
      Type.Array(
        Type.Object({
          key: Type.String({ minLength: 1 }),
          operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: optional(Type.Array(Type.String())),
        }),
      ),
    ),
  })
