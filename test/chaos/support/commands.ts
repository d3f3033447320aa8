import type { To } from 'conclave'

/** What a coordinator tells a worker (test/chaos/programs/worker.ts). */
export type Command =
  | JoinCommand
  /** Asks the primary who it is. */
  | { readonly do: 'view' }
  /** Which member it is. */
  | { readonly do: 'self' }
  | LoadCommand
  /** Ends the load; answered when all of it has settled. */
  | { readonly do: 'unload' }
  | { readonly do: 'call'; readonly method: 'work' | 'exit'; readonly to: To }
  | { readonly do: 'publish'; readonly topic: string; readonly count: number; readonly bytes?: number | undefined }
  | { readonly do: 'mark'; readonly topics: readonly string[] }
  | SubscribeCommand
  /** Which subscriptions have not seen any of these marks. */
  | { readonly do: 'seen'; readonly marks: readonly string[] }
  | { readonly do: 'inspect' }
  | { readonly do: 'usage' }
  | { readonly do: 'leave'; readonly how: 'close' | 'abort' }
  /** Fills the heap until V8 gives up. */
  | { readonly do: 'exhaust' }

export interface JoinCommand {
  readonly do: 'join'
  /** The round's directory: `w` is the workspace, `journals` and the witness file lie beside it. */
  readonly round: string
  readonly runtime: string
  readonly name: string
  /** When to begin, in microseconds of CLOCK_MONOTONIC. */
  readonly at?: number | undefined
  /** Tries again after a refusal. */
  readonly persistent?: boolean | undefined
  /** How long ending what runs while primary takes. */
  readonly slowStopMs?: number | undefined
  readonly options?: object | undefined
}

export interface LoadCommand {
  readonly do: 'load'
  /** Loops that call, half of them repeatable calls to any member. */
  readonly calls?: number | undefined
  readonly events?: number | undefined
  readonly writes?: number | undefined
  readonly topics?: readonly string[] | undefined
  /** Publishes that are sent before the first is awaited. */
  readonly burst?: number | undefined
  /** Padding in each event: kernel buffers fill sooner, so that queues do. */
  readonly bytes?: number | undefined
  /** Between two operations of one loop. */
  readonly pauseMs?: number | undefined
}

export interface SubscribeCommand {
  readonly do: 'subscribe'
  readonly s: string
  readonly pattern: string
  readonly maxQueued?: number | undefined
  readonly overflow?: 'drop-oldest' | 'drop-newest' | 'disconnect' | undefined
  /** Milliseconds the reader takes for each `slowEvery` events. */
  readonly slowMs?: number | undefined
  readonly slowEvery?: number | undefined
}
