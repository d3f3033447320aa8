import { Buffer } from 'node:buffer'
import { asError } from '../../errors/index.ts'
import type { Envelope } from './envelope.ts'
import { MAX_CARRIED, TOOL_RESULT_BYTES } from './limits.ts'

/** Node's EventEmitter, as far as a bridge needs it. */
export interface EmitterLike {
  on(name: string, listener: (...args: unknown[]) => void): unknown
  off(name: string, listener: (...args: unknown[]) => void): unknown
  emit(name: string, ...args: unknown[]): boolean
}

/** A member of a workspace, as far as a bridge needs it. */
export interface MemberLike {
  readonly id: string
  on(pattern: string, listener: (event: BridgedEvent) => unknown): { return?(): unknown }
  publish(topic: string, data: unknown): Promise<unknown>
}

interface BridgedEvent {
  readonly topic: string
  readonly data: unknown
  readonly seq: number
  readonly publisher: { readonly id: string }
}

/** The bus, as far as a bridge needs it. */
export interface BusLike {
  readonly instanceId: string
  publish(topic: string, payload: unknown): unknown
}

export interface BridgeOptions {
  /** Names of an emitter's events, or a member's topics and patterns (`session.*`), that go to the bus. */
  readonly events: readonly string[]
  /** Before each topic on the bus, with a dot. Default: none. */
  readonly prefix?: string | undefined
  /** Events of other buses, from `Client.subscribeTo`, that go the other way. What this bus published is left out. */
  readonly receive?: AsyncIterableIterator<Envelope> | undefined
  /** An event could not be published (it is no JSON, or too long) or handed on. Default: it is skipped silently. */
  readonly onError?: ((error: Error, topic: string) => void) | undefined
}

export interface Bridge extends AsyncDisposable {
  /** Nothing is carried any more. The bus stays as it is: `bus.shutdown()` gives the notice. */
  close(): Promise<void>
}

/**
 * Carries events of an EventEmitter, EventTarget or member to a bus, and those of another bus back, without loops. One
 * argument of an emitter's event is its payload, several are a list; of an EventTarget's event it is `detail`. The result
 * text of `tool.end` is cut at 512 bytes, as existing programs do. Heartbeats and the notice of the end are the bus's own.
 */
export function bridge(source: EmitterLike | EventTarget | MemberLike, bus: BusLike, options: BridgeOptions): Bridge {
  const { events, prefix, receive, onError } = options
  const topicOf = (name: string): string => (prefix === undefined ? name : `${prefix}.${name}`)
  const side = isMember(source) ? memberSide(source) : isTarget(source) ? targetSide(source) : emitterSide(source)
  const guarded = (topic: string, act: () => unknown): void => {
    try {
      void Promise.resolve(act()).catch((error: unknown) => onError?.(asError(error), topic))
    } catch (error) {
      onError?.(asError(error), topic)
    }
  }
  const stops = events.map((name) =>
    side.listen(name, (topic, data) => guarded(topic, () => bus.publish(topicOf(topic), shortened(topic, data)))),
  )
  const back = receive === undefined ? undefined : carryBack(receive, bus, side, guarded)
  const close = async (): Promise<void> => {
    await Promise.all(stops.map((stop) => stop()))
    await receive?.return?.()
    await back
  }
  return { close, [Symbol.asyncDispose]: close }
}

async function carryBack(
  receive: AsyncIterableIterator<Envelope>,
  bus: BusLike,
  side: Side,
  guarded: (topic: string, act: () => unknown) => void,
): Promise<void> {
  for await (const { instanceId, topic, payload } of receive) {
    if (instanceId !== bus.instanceId) guarded(topic, () => side.emit(topic, payload))
  }
}

function shortened(topic: string, data: unknown): unknown {
  if (topic !== 'tool.end' || typeof data !== 'object' || data === null) return data
  const { result } = data as { readonly result?: unknown }
  if (typeof result !== 'string' || Buffer.byteLength(result) <= TOOL_RESULT_BYTES) return data
  // A sign that the cut would split is left out.
  const cut = Buffer.from(result)
    .toString('utf8', 0, TOOL_RESULT_BYTES)
    .replace(/\ufffd$/, '')
  return { ...data, result: cut }
}

interface Side {
  /** Does not hear what `emit` emits. */
  listen(name: string, listener: (topic: string, data: unknown) => void): () => unknown
  emit(name: string, data: unknown): unknown
}

/** A member hears its own events too. What was carried here is known by its number once the publishing has settled. */
function memberSide(member: MemberLike): Side {
  const carried = new Set<number>()
  let inFlight: Promise<void> | undefined
  return {
    listen(pattern, listener) {
      const subscription = member.on(pattern, async ({ topic, data, seq, publisher }) => {
        if (publisher.id === member.id) await inFlight
        if (publisher.id !== member.id || !carried.has(seq)) listener(topic, data)
      })
      return () => subscription.return?.()
    },
    emit(topic, data) {
      const published = member.publish(topic, data)
      const settled = async (): Promise<void> => {
        const before = inFlight
        const seq = await published.catch(() => undefined)
        await before
        if (typeof seq === 'number') carried.add(seq)
        for (const oldest of carried) {
          if (carried.size <= MAX_CARRIED) break
          carried.delete(oldest)
        }
      }
      inFlight = settled()
      return published
    },
  }
}

function emitterSide(emitter: EmitterLike): Side {
  // What listeners emit meanwhile is theirs, and is carried.
  let carried: { readonly name: string; readonly data: unknown } | undefined
  return {
    listen(name, listener) {
      const on = (...args: unknown[]): void => {
        if (carried?.name === name && args.length === 1 && Object.is(carried.data, args[0])) return
        listener(name, args.length > 1 ? args : (args[0] ?? null))
      }
      emitter.on(name, on)
      return () => emitter.off(name, on)
    },
    emit(name, data) {
      const before = carried
      carried = { name, data }
      try {
        return emitter.emit(name, data)
      } finally {
        carried = before
      }
    },
  }
}

function targetSide(target: EventTarget): Side {
  const own = new WeakSet<Event>()
  return {
    listen(name, listener) {
      const on = (event: Event): void => {
        if (!own.has(event)) listener(name, (event as { readonly detail?: unknown }).detail ?? null)
      }
      target.addEventListener(name, on)
      return () => target.removeEventListener(name, on)
    },
    emit(name, data) {
      const event = new CustomEvent(name, { detail: data })
      own.add(event)
      return target.dispatchEvent(event)
    },
  }
}

function isMember(source: object): source is MemberLike {
  return 'publish' in source && 'on' in source
}

function isTarget(source: object): source is EventTarget {
  return 'addEventListener' in source && !('emit' in source)
}
