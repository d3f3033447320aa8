import type { In, Out, Schema } from '../../wire/schema.ts'
import { validate } from '../../wire/validate.ts'
import type { PipeMessage, PipeType } from './messages.ts'

/** Types of messages and what their payloads are: the four of the system, and any others. */
export type PipeSchemas = Readonly<Record<string, Schema<any, unknown>>>

/** What a receiver with these schemas gets. */
export type Incoming<S extends PipeSchemas> =
  | { [T in keyof S & string]: PipeMessage<T, Out<S[T]>> }[keyof S & string]
  | { [T in Exclude<PipeType, keyof S>]: PipeMessage<T> }[Exclude<PipeType, keyof S>]

/** What a sender with these schemas takes. */
export type Outgoing<S extends PipeSchemas> =
  | { [T in keyof S & string]: PipeMessage<T, In<S[T]>> }[keyof S & string]
  | { [T in Exclude<PipeType, keyof S>]: PipeMessage<T> }[Exclude<PipeType, keyof S>]

export type NoSchemas = Record<never, never>

/** Of one type of a pipe. @throws `INVALID_PARAMS` with `data.issues` */
export function checked(schemas: PipeSchemas | undefined, message: PipeMessage): PipeMessage | Promise<PipeMessage> {
  const schema = schemas !== undefined && Object.hasOwn(schemas, message.type) ? schemas[message.type] : undefined
  if (schema === undefined) return message
  const at = { code: 'INVALID_PARAMS', what: `The payload of a ${message.type}` } as const
  const payload = validate(schema as unknown as Schema, message.payload, at)
  return payload instanceof Promise
    ? payload.then((later) => ({ ...message, payload: later }))
    : { ...message, payload }
}
