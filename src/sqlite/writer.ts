import type { ConclaveError } from '../errors/index.ts'
import type { Answer } from './answer.ts'
import type { FeedEvent } from './changes.ts'
import type { SqlValue, StatementPair } from './types.ts'

/** What one request asks of the writer. */
export type Work =
  | { readonly type: 'statement'; readonly sql: string; readonly params: readonly SqlValue[] }
  /** One transaction; the answer is a list. */
  | { readonly type: 'batch'; readonly statements: readonly StatementPair[] }
  | { readonly type: 'procedure'; readonly name: string; readonly params: unknown }
  /** The end of an interactive transaction, numbered like any write (rule B11). */
  | { readonly type: 'commit' }
  /** A writer appears: its numbers count from here. */
  | { readonly type: 'open' }
  /** A writer that this primary may take for gone is there. */
  | { readonly type: 'here' }
  /** A writer goes for good. */
  | { readonly type: 'bye' }
  /** What became of write `number` of `of`, or of a key. */
  | { readonly type: 'outcome'; readonly of: string; readonly number: number }
  | { readonly type: 'key'; readonly key: string }

/** One numbered write, or a question about one. */
export interface Job {
  readonly writer: string
  /** 0 for what is no write. */
  readonly number: number
  /** The writer has settled all numbers up to it. */
  readonly watermark: number
  readonly work: Work
  readonly key?: { readonly name: string; readonly digest: string } | undefined
  /** CLOCK_MONOTONIC, milliseconds: it is never started after it (rule A14). */
  readonly deadline: number
}

/** Another program holds the write lock of the file: nothing has begun, try again soon. */
export class WriterBusy extends Error {}

/** Nothing is committed by this primary any more: its lock is lost, or another term is in the database. */
export class WriterEnd extends Error {
  readonly error: ConclaveError

  constructor(error: ConclaveError) {
    super(error.message, { cause: error })
    this.error = error
  }
}

/**
 * Who holds the one writing connection. Asynchronous although the one there is answers at once: it may move to a thread
 * (rule A11). One call at a time. It rejects with `WriterBusy`, or with `WriterEnd` for good; what was asked is not
 * settled then, and may be asked again: numbers make it safe.
 */
export interface Writer {
  /**
   * Commits writes together, each in a savepoint of its own.
   * @returns the answers of as many of them, from the front, as fitted in the time of a group
   */
  commit(jobs: readonly Job[]): Promise<readonly Answer[]>
  /** Begins an interactive transaction. */
  begin(): Promise<void>
  /** A statement of it. @returns the answer; `TRANSACTION_LOST` when there is no transaction any more */
  step(sql: string, params: readonly SqlValue[]): Promise<Answer>
  /** Commits it under its number; `undefined`: rolls it back. */
  end(job: Job | undefined): Promise<Answer | undefined>
  /** Whether this write, or a later one of its writer, has begun before: then it waits for its answer, not to be done. */
  begun(writer: string, number: number): boolean
  /** The last link of a writer is gone. */
  gone(writer: string): void
  /** Tells of what another program has written since the last transaction (rule B20). Nothing while one is open. */
  look(): Promise<void>
  /** Checkpoints, and cuts the WAL to nothing unless a reader needs it (rule B10). */
  truncate(): Promise<void>
  /** Forgets what is older than it is kept for. */
  forget(): Promise<void>
  /** Rolls back what is open and closes the file. Idempotent. */
  close(): Promise<void>
}

export interface WriterEvents {
  /** After a commit, in order. */
  readonly onChanges: (events: readonly FeedEvent[]) => void
  /** Another program has written to the file. */
  readonly onForeignWrite: () => void
}
