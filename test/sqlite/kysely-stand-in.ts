import {
  LocalReader,
  nodeSqlite,
  type AsyncTx,
  type Reader,
  type RunResult,
  type SqlRow,
  type SqlValue,
  type StatementPair,
  type TransactionOptions,
  type WriteClient,
  type WriteOptions,
} from '../../src/sqlite/index.ts'
import { defer, type Scope } from '../support/index.ts'
import type { Primary } from './support.ts'

/** What a query builder sees of a member, made of the room alone; it counts what goes to the primary. */
export class StandIn {
  readonly db: {
    readonly read: Reader
    run<Row = SqlRow>(sql: string, params?: readonly SqlValue[], options?: WriteOptions): Promise<RunResult<Row>>
    batch(statements: readonly StatementPair[], options?: WriteOptions): Promise<readonly RunResult<SqlRow>[]>
    transaction<T>(work: (tx: AsyncTx) => Promise<T>, options?: TransactionOptions): Promise<T>
  }
  /** Statements that were prepared here. */
  readonly prepared: string[] = []
  /** Statements that were sent by `run`. */
  readonly sent: string[] = []
  closed = 0

  constructor(reader: LocalReader, client: WriteClient) {
    this.db = {
      read: {
        prepare: (sql) => {
          this.prepared.push(sql)
          return reader.prepare(sql)
        },
      },
      run: (sql, params, options) => {
        this.sent.push(sql)
        return client.run(sql, params, options)
      },
      batch: (statements, options) => client.batch(statements, options),
      transaction: (work, options) => client.transaction(work, options),
    }
  }

  async close(): Promise<void> {
    this.closed++
  }
}

export async function standIn(t: Scope, primary: Primary, name = 'm'): Promise<StandIn> {
  const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
  defer(t, () => reader.close())
  return new StandIn(reader, primary.client(name))
}
