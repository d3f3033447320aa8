import type { EventSubscription } from './subscription.ts'
import type { Member } from './types.ts'

/** Node's EventEmitter, as far as a bridge needs it. */
export interface EmitterLike {
  on(name: string, listener: (...args: unknown[]) => void): unknown
  off(name: string, listener: (...args: unknown[]) => void): unknown
  emit(name: string, ...args: unknown[]): boolean
}

export interface BridgeOptions {
  /** Names of local events that go to the bus. */
  readonly publish?: readonly string[] | undefined
  /** Names of local events that come from the bus. Default: those of `publish`. */
  readonly receive?: readonly string[] | undefined
  /** Before each name, with a dot: event `saved` becomes topic `<prefix>.saved`. Default: none. */
  readonly prefix?: string | undefined
}

export interface Bridge extends AsyncDisposable {
  close(): Promise<void>
}

/**
 * Carries events of an EventEmitter or EventTarget to the bus, and those of other members back, without loops: what came
 * from the bus is not published again, and one's own events are not received.
 *
 * An emitter's arguments travel as an array; of an EventTarget's event, its `detail` travels. Values are JSON.
 * @throws what `member.subscribe` throws
 */
export function bridge(source: EmitterLike | EventTarget, member: Member, options: BridgeOptions): Bridge {
  const { publish = [], receive = publish, prefix } = options
  const topicOf = (name: string): string => (prefix === undefined ? name : `${prefix}.${name}`)
  const local = isTarget(source) ? targetSide(source) : emitterSide(source)
  const stops = publish.map((name) => local.listen(name, (data) => void member.publish(topicOf(name), data)))
  const subscriptions = receive.map((name) =>
    member.on(topicOf(name), (event) => {
      if (event.publisher.id !== member.id) local.emit(name, event.data)
    }),
  ) as unknown as EventSubscription[]
  const close = async (): Promise<void> => {
    for (const stop of stops) stop()
    await Promise.all(subscriptions.map((subscription) => subscription.return()))
  }
  return { close, [Symbol.asyncDispose]: close }
}

interface LocalSide {
  /** Does not hear what `emit` emits; what listeners emit in answer to that, it hears. */
  listen(name: string, listener: (data: unknown) => void): () => void
  emit(name: string, data: unknown): void
}

function emitterSide(emitter: EmitterLike): LocalSide {
  const emitting = new Set<{ readonly name: string; readonly args: readonly unknown[] }>()
  return {
    listen(name, listener) {
      const on = (...args: unknown[]): void => {
        for (const own of emitting) if (own.name === name && same(own.args, args)) return
        listener(args)
      }
      emitter.on(name, on)
      return () => emitter.off(name, on)
    },
    emit(name, data) {
      const args = Array.isArray(data) ? (data as unknown[]) : [data]
      const own = { name, args }
      emitting.add(own)
      try {
        emitter.emit(name, ...args)
      } finally {
        emitting.delete(own)
      }
    },
  }
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]))
}

function targetSide(target: EventTarget): LocalSide {
  const own = new WeakSet<globalThis.Event>()
  return {
    listen(name, listener) {
      const on = (event: globalThis.Event): void => {
        if (!own.has(event)) listener((event as { detail?: unknown }).detail ?? null)
      }
      target.addEventListener(name, on)
      return () => target.removeEventListener(name, on)
    },
    emit(name, data) {
      const event = new CustomEvent(name, { detail: data })
      own.add(event)
      target.dispatchEvent(event)
    },
  }
}

function isTarget(source: EmitterLike | EventTarget): source is EventTarget {
  return 'addEventListener' in source && !('emit' in source)
}
