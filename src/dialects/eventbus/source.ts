import type { EventFields, SourceState } from './messages.ts'

export interface Published {
  /** Consumers it was queued for. */
  readonly consumers: number
  /** Its id was seen within the last minutes; nobody got it again. */
  readonly duplicate: boolean
}

/** Where events come from: a connection of its own to the outside, whose state consumers are told. */
export interface Source extends Disposable {
  readonly name: string
  readonly state: SourceState
  /** @throws `FRAME_TOO_LARGE`, `INVALID_REQUEST`, `CLOSED` */
  publish(event: EventFields): Published
  /** Tells all consumers. */
  status(state: SourceState, detail?: string): void
  /** The source has ended. The bus goes on. */
  close(): void
}

/** What runs a source until it ends or the signal aborts. */
export type SourceRunner = (source: Source, context: { readonly signal: AbortSignal }) => Promise<void>
