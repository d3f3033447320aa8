import { ConclaveError } from '../../errors/index.ts'
import type { Lock } from '../../platform/index.ts'
import type { Connection, Listener } from '../../transport/index.ts'
import { throwIfAborted } from '../shared/abort.ts'
import { Mailbox } from '../shared/mailbox.ts'
import { inUse, listenAt, privateDirectory } from '../shared/place.ts'
import { placeOf, type Internals, type PlaceOptions } from '../shared/uids.ts'
import { BACKLOG, MAX_CONNECTIONS } from './limits.ts'
import { pipePath } from './paths.ts'
import { Receiver, type ReceiverOptions } from './receiver.ts'
import type { Incoming, NoSchemas, PipeSchemas } from './schema.ts'

export interface PipeListenOptions<S extends PipeSchemas = NoSchemas> extends ReceiverOptions<S>, PlaceOptions {
  /** Default: where the existing system has its sockets. */
  readonly directory?: string | undefined
  readonly maxConnections?: number | undefined
  /** Closes the listener. */
  readonly signal?: AbortSignal | undefined
}

export interface ListenerCounters {
  readonly accepted: number
  /** Connections of users who are not on the list. */
  readonly refused: number
  /** Connections over the limit. */
  readonly overflow: number
  readonly acceptErrors: number
}

/**
 * Listens under a name. One who listens already keeps it.
 * @throws `SOCKET_IN_USE`, `PATH_TOO_LONG`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`, `INVALID_OPTION`, `ABORTED`
 */
export async function listen<S extends PipeSchemas = NoSchemas>(
  name: string,
  options: PipeListenOptions<S> = {},
  internals: Internals = {},
): Promise<PipeListener<S>> {
  throwIfAborted(options.signal)
  const path = pipePath(name, options.directory)
  const place = placeOf(options, internals)
  privateDirectory(place.platform, path.slice(0, path.lastIndexOf('/')))
  const lock = place.platform.tryLock(`${path}.lock`)
  if (lock === undefined) throw inUse(path)
  try {
    return new PipeListener(name, path, lock, options, (handlers) => listenAt(place, path, handlers))
  } catch (error) {
    lock.close()
    throw error
  }
}

type Listens = (handlers: {
  readonly backlog: number
  readonly onConnection: (connection: Connection) => void
  readonly onError: (error: Error) => void
}) => Listener

/** Receivers, one for each sender that connects. */
export class PipeListener<S extends PipeSchemas = NoSchemas>
  implements AsyncIterable<Receiver<S>, void>, AsyncDisposable
{
  readonly name: string
  readonly path: string
  readonly #options: PipeListenOptions<S>
  readonly #lock: Lock
  readonly #listener: Listener
  readonly #accepted = new Mailbox<Receiver<S>>()
  readonly #open = new Set<Receiver<S>>()
  #counters = { accepted: 0, refused: 0, overflow: 0, acceptErrors: 0 }
  #closing: Promise<void> | undefined

  /** Use `listen`. */
  constructor(name: string, path: string, lock: Lock, options: PipeListenOptions<S>, listens: Listens) {
    this.name = name
    this.path = path
    this.#lock = lock
    this.#options = options
    this.#listener = listens({
      backlog: BACKLOG,
      onConnection: (connection) => this.#take(connection),
      onError: (error) => {
        // Accepting goes on.
        if (ConclaveError.is(error, 'FORBIDDEN')) this.#counters.refused++
        else this.#counters.acceptErrors++
        options.onError?.(error)
      },
    })
    options.signal?.addEventListener('abort', this.#onAbort)
  }

  get counters(): ListenerCounters {
    return { ...this.#counters }
  }

  /** The next sender; `undefined` when the listener is closed. @throws `ABORTED` */
  accept(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Receiver<S> | undefined> {
    return this.#accepted.next(options.signal)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Receiver<S>, void, undefined> {
    for (let one = await this.accept(); one !== undefined; one = await this.accept()) yield one
  }

  /**
   * The messages of all senders, each one's in its order, until the listener is closed or the signal aborts. Senders and
   * messages that were not taken when the loop is left are there for the next one.
   */
  async *messages(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Incoming<S>, void, undefined> {
    const left = new AbortController()
    const stop = AbortSignal.any([left.signal, ...(options.signal === undefined ? [] : [options.signal])])
    // Receivers in the order in which they had something: what is not asked for stays with them, and is not acknowledged.
    const found = new Mailbox<Receiver<S>>()
    const mine = new Set<Receiver<S>>()
    const watch = (receiver: Receiver<S>): void => {
      receiver.ready(stop).then(
        () => found.push(receiver),
        () => {},
      )
    }
    const accept = async (): Promise<void> => {
      for (
        let one = await this.accept({ signal: stop });
        one !== undefined;
        one = await this.accept({ signal: stop })
      ) {
        // It may have come at the very moment at which the loop was left.
        if (left.signal.aborted) return this.#accepted.push(one)
        mine.add(one)
        watch(one)
      }
      found.end()
    }
    accept().catch(() => {})
    try {
      for (;;) {
        const receiver = await found.next(options.signal)
        if (receiver === undefined) return
        let message: Incoming<S> | undefined
        try {
          message = await receiver.next()
        } catch (error) {
          this.#options.onError?.(error as Error)
          watch(receiver)
          continue
        }
        if (message === undefined) {
          mine.delete(receiver)
          await receiver.close()
          continue
        }
        watch(receiver)
        yield message
      }
    } finally {
      left.abort()
      for (const receiver of mine) this.#accepted.push(receiver)
    }
  }

  /** Stops listening, closes what was accepted, gives the name free. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  readonly #onAbort = (): void => void this.close()

  #take(connection: Connection): void {
    if (this.#open.size >= (this.#options.maxConnections ?? MAX_CONNECTIONS)) {
      this.#counters.overflow++
      connection.close()
      return
    }
    this.#counters.accepted++
    const receiver: Receiver<S> = new Receiver<S>(connection, this.#options, () => this.#open.delete(receiver))
    this.#open.add(receiver)
    this.#accepted.push(receiver)
  }

  async #close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#listener.close()
    this.#accepted.end()
    this.#accepted.clear()
    await Promise.all([...this.#open].map((receiver) => receiver.close()))
    this.#lock.close()
  }
}
