import { Buffer } from 'node:buffer'
import { ConclaveError } from '../../errors/index.ts'
import { goLine } from '../shared/go-json.ts'
import { MAX_FRAME_BYTES } from './limits.ts'
import {
  SOURCE_STATES,
  type AnyMessage,
  type BusMessage,
  type ConsumerStatus,
  type StatusResponse,
} from './messages.ts'

type Kind = 'number' | 'string' | 'boolean' | 'strings' | 'consumers' | 'state' | 'json'
/** Name here, name on the wire, kind; `+` after the kind: always written, as what Go calls zero if it is not there. */
type Field = readonly [own: string, wire: string, kind: Kind | `${Kind}+`]

const SUBSCRIPTION: Field = ['subscriptionId', 'subscription_id', 'string']

/** In the order the existing peers write them; what came later stands last. */
const CONSUMER: readonly Field[] = [
  ['pid', 'pid', 'number+'],
  ['eventKey', 'event_key', 'string+'],
  SUBSCRIPTION,
  ['received', 'received', 'number+'],
  ['dropped', 'dropped', 'number+'],
]

export const EVENT_FIELDS: readonly Field[] = [
  ['eventType', 'event_type', 'string+'],
  ['eventId', 'event_id', 'string'],
  ['sourceTime', 'source_time', 'string'],
  ['seq', 'seq', 'number'],
  ['payload', 'payload', 'json+'],
  ['appId', 'app_id', 'string'],
  ['tenantKey', 'tenant_key', 'string'],
  ['observedAt', 'observed_at', 'string'],
  ['remoteSubscriptionId', 'remote_subscription_id', 'string'],
  ['targetResource', 'target_resource', 'json'],
  ['authority', 'authority', 'json'],
  ['subscriptionEventId', 'subscription_event_id', 'string'],
]

const FIELDS: ReadonlyMap<string, readonly Field[]> = new Map<AnyMessage['type'], readonly Field[]>([
  [
    'hello',
    [
      ['pid', 'pid', 'number+'],
      ['eventKey', 'event_key', 'string+'],
      ['eventTypes', 'event_types', 'strings+'],
      ['version', 'version', 'string+'],
      SUBSCRIPTION,
      ['consumerScopeId', 'consumer_scope_id', 'string'],
      ['remoteSubscriptionId', 'remote_subscription_id', 'string'],
      ['identity', 'identity', 'json'],
      ['profile', 'profile', 'string'],
      ['userOpenId', 'user_open_id', 'string'],
      ['capabilities', 'capabilities', 'strings'],
      ['resumed', 'resumed', 'boolean'],
    ],
  ],
  [
    'hello_ack',
    [
      ['busVersion', 'bus_version', 'string+'],
      ['firstForKey', 'first_for_key', 'boolean+'],
      ['rejected', 'rejected', 'boolean'],
      ['rejectReason', 'reject_reason', 'string'],
      ['capabilities', 'capabilities', 'strings'],
      ['abandoned', 'abandoned', 'boolean'],
    ],
  ],
  ['event', EVENT_FIELDS],
  [
    'source_status',
    [
      ['source', 'source', 'string+'],
      ['state', 'state', 'state+'],
      ['detail', 'detail', 'string'],
    ],
  ],
  ['pre_shutdown_check', [['eventKey', 'event_key', 'string+'], SUBSCRIPTION]],
  ['pre_shutdown_ack', [['lastForKey', 'last_for_key', 'boolean+']]],
  ['bye', []],
  ['status_query', []],
  [
    'status_response',
    [
      ['pid', 'pid', 'number+'],
      ['uptimeSec', 'uptime_sec', 'number+'],
      ['activeConns', 'active_conns', 'number+'],
      ['consumers', 'consumers', 'consumers+'],
      ['protocolVersion', 'protocol_version', 'string'],
      ['capabilities', 'capabilities', 'strings'],
      ['registeredEventTypes', 'registered_event_types', 'strings'],
    ],
  ],
  ['shutdown', []],
  ['setup_done', []],
])

type Values = Readonly<Record<string, unknown>>

/**
 * One line with its LF, at most `maxBytes` with it.
 * @throws `FRAME_TOO_LARGE`, `INVALID_REQUEST` (a payload that JSON cannot hold)
 */
export function encodeMessage(message: BusMessage, maxBytes: number = MAX_FRAME_BYTES): string {
  return encodeAny(message, maxBytes)
}

export function encodeAny(message: AnyMessage, maxBytes: number = MAX_FRAME_BYTES): string {
  const line = goLine({ type: message.type, ...toWire(FIELDS.get(message.type) ?? [], message as unknown as Values) })
  checkFrame(line, maxBytes)
  return line
}

/** @throws `FRAME_TOO_LARGE`. Exact only where it matters: a text that surely fits is not measured. */
function checkFrame(line: string, maxBytes: number): void {
  if (line.length * 3 <= maxBytes) return
  const bytes = Buffer.byteLength(line)
  if (bytes > maxBytes) throw frameTooLarge(bytes, maxBytes)
}

export function frameTooLarge(bytes: number, maxBytes: number): ConclaveError {
  const text = `A frame of ${bytes} bytes exceeds the limit of ${maxBytes}: send a shorter payload, or where to find it.`
  return new ConclaveError('FRAME_TOO_LARGE', text, { data: { bytes, limit: maxBytes } })
}

/**
 * The message of a line. Unknown fields are ignored, absent ones have what Go calls their zero value.
 * @returns `undefined` for a type that is not known
 * @throws `PROTOCOL` for what is no JSON object, and for a field of a wrong type
 */
export function decodeMessage(line: string): BusMessage | undefined {
  const message = decodeAny(line)
  return message?.type === 'setup_done' ? undefined : message
}

export function decodeAny(line: string): AnyMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new ConclaveError('PROTOCOL', `A line is no JSON: ${(cause as Error).message}.`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConclaveError('PROTOCOL', 'A line is no JSON object.')
  }
  const object = value as Values
  const { type } = object as { readonly type?: unknown }
  const fields = typeof type === 'string' ? FIELDS.get(type) : undefined
  return fields === undefined ? undefined : ({ type, ...fromWire(fields, object) } as unknown as AnyMessage)
}

export function toWire(fields: readonly Field[], message: Values): Record<string, unknown> {
  const wire: Record<string, unknown> = {}
  for (const [own, name, kind] of fields) {
    const value = message[own]
    const always = kind.endsWith('+')
    const bare = bareKind(kind)
    if (always) wire[name] = bare === 'consumers' ? (value as ConsumerStatus[]).map(consumerToWire) : (value ?? null)
    else if (!isZero(value) && !(bare === 'strings' && (value as string[]).length === 0)) wire[name] = value
  }
  return wire
}

/** What Go leaves out of an `omitempty` field. */
function isZero(value: unknown): boolean {
  return value === undefined || value === null || value === '' || value === 0 || value === false
}

/** The status with those of its consumers that one frame holds: how many there are is a number of its own. */
export function fittingStatus(status: StatusResponse, maxBytes: number): StatusResponse {
  let left = maxBytes - Buffer.byteLength(encodeAny({ ...status, consumers: [] }, Infinity))
  const consumers = status.consumers.filter((one) => {
    // A comma in place of the LF.
    const bytes = Buffer.byteLength(goLine(consumerToWire(one)))
    if (bytes > left) return false
    left -= bytes
    return true
  })
  return { ...status, consumers }
}

function consumerToWire(status: ConsumerStatus): Record<string, unknown> {
  return toWire(CONSUMER, status as unknown as Values)
}

function fromWire(fields: readonly Field[], object: Values): Record<string, unknown> {
  const message: Record<string, unknown> = {}
  for (const [own, name, kind] of fields) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined
    const bare = bareKind(kind)
    if (value === undefined || value === null) {
      if (kind.endsWith('+')) message[own] = ZERO[bare]
      else if (own === 'seq') message[own] = 0
      continue
    }
    if (!FITS[bare](value)) throw new ConclaveError('PROTOCOL', `The field ${name} is no ${WORDS[bare]}.`)
    message[own] = bare === 'consumers' ? (value as Values[]).map((one) => fromWire(CONSUMER, one)) : value
  }
  return message
}

function bareKind(kind: Kind | `${Kind}+`): Kind {
  return (kind.endsWith('+') ? kind.slice(0, -1) : kind) as Kind
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

const FITS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  number: (value) => Number.isSafeInteger(value),
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  strings: (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
  consumers: (value) => Array.isArray(value) && value.every(isObject),
  state: (value) => (SOURCE_STATES as readonly unknown[]).includes(value),
  json: () => true,
}

const WORDS: Readonly<Record<Kind, string>> = {
  number: 'whole number',
  string: 'text',
  boolean: 'boolean',
  strings: 'list of texts',
  consumers: 'list of consumers',
  state: `source state (${SOURCE_STATES.join(', ')})`,
  json: 'JSON',
}

const ZERO: Readonly<Record<Kind, unknown>> = {
  number: 0,
  string: '',
  boolean: false,
  strings: [],
  consumers: [],
  state: 'connecting',
  json: null,
}
