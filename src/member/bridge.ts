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
  let delivering = false
  const stops = publish.map((name) =>
    local.listen(name, (data) => {
      if (!delivering) void member.publish(topicOf(name), data)
    }),
  )
  const subscriptions = receive.map((name) =>
    member.on(topicOf(name), (event) => {
      if (event.publisher.id === member.id) return
      // Emitting is synchronous, so whatever is heard meanwhile is our own echo.
      delivering = true
      try {
        local.emit(name, event.data)
      } finally {
        delivering = false
      }
    }),
  ) as unknown as EventSubscription[]
  const close = async (): Promise<void> => {
    for (const stop of stops) stop()
    await Promise.all(subscriptions.map((subscription) => subscription.return()))
  }
  return { close, [Symbol.asyncDispose]: close }
}

interface LocalSide {
  listen(name: string, listener: (data: unknown) => void): () => void
  emit(name: string, data: unknown): void
}

function emitterSide(emitter: EmitterLike): LocalSide {
  return {
    listen(name, listener) {
      const on = (...args: unknown[]): void => listener(args)
      emitter.on(name, on)
      return () => emitter.off(name, on)
    },
    emit: (name, data) => void emitter.emit(name, ...(Array.isArray(data) ? (data as unknown[]) : [data])),
  }
}

function targetSide(target: EventTarget): LocalSide {
  return {
    listen(name, listener) {
      const on = (event: globalThis.Event): void => listener((event as { detail?: unknown }).detail ?? null)
      target.addEventListener(name, on)
      return () => target.removeEventListener(name, on)
    },
    emit: (name, data) => void target.dispatchEvent(new CustomEvent(name, { detail: data })),
  }
}

function isTarget(source: EmitterLike | EventTarget): source is EventTarget {
  return 'addEventListener' in source && !('emit' in source)
}
