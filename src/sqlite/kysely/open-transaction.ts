import type { QueryDatabase } from '../routed-reads.ts'
import type { AsyncTx, RunResult, SqlValue } from '../types.ts'

/**
 * `db.transaction(callback)` for who begins and ends by calls: the callback waits until it is told how to end. Its deadline
 * runs at the primary: when it passes, the next statement and the commit fail with `TRANSACTION_LOST`.
 */
export class OpenTransaction {
  readonly #tx: AsyncTx
  readonly #end: Ending
  readonly #done: Promise<void>

  private constructor(tx: AsyncTx, end: Ending, done: Promise<void>) {
    this.#tx = tx
    this.#end = end
    this.#done = done
  }

  /** Resolves when it holds the writer. @throws `TIMEOUT`, `OVERLOADED`, `NO_PRIMARY` and others of a write */
  static begin(db: QueryDatabase, timeoutMs: number | undefined): Promise<OpenTransaction> {
    return new Promise((resolve, reject) => {
      let end!: Ending
      const ended = new Promise<void>((commit, rollback) => {
        end = { commit, rollback }
      })
      ended.catch(() => {})
      const done = db.transaction(
        (tx) => {
          resolve(new OpenTransaction(tx, end, done))
          return ended
        },
        { timeoutMs },
      )
      // Before it began; afterwards it is told by `commit`.
      done.catch(reject)
    })
  }

  run<Row>(sql: string, params: readonly SqlValue[]): Promise<RunResult<Row>> {
    return this.#tx.run<Row>(sql, params)
  }

  /** @throws `TRANSACTION_LOST`, `CONFLICT`, and what a write throws; it is over in any case */
  async commit(): Promise<void> {
    this.#end.commit()
    await this.#done
  }

  /** Idempotent. Never rejects. */
  async rollback(): Promise<void> {
    this.#end.rollback(new Error('It was rolled back.'))
    await this.#done.catch(() => {})
  }
}

interface Ending {
  readonly commit: () => void
  readonly rollback: (why: Error) => void
}
