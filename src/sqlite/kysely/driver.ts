import type { DatabaseConnection, Driver, TransactionSettings } from 'kysely'
import { ConclaveError } from '../../errors/index.ts'
import { RoutedReads, type HasDatabase } from '../routed-reads.ts'
import { MemberConnection } from './connection.ts'

/** An open member, or how to join: when the first query comes. */
export type Source = HasDatabase | (() => HasDatabase | Promise<HasDatabase>)

/** A connection of Kysely's holds nothing but a transaction: there are as many as queries run at once. */
export class MemberDriver implements Driver {
  readonly #source: Source
  readonly #transactionMs: number | undefined
  readonly #taken = new Set<MemberConnection>()
  readonly #free: MemberConnection[] = []
  #member: HasDatabase | undefined
  #connect: (() => MemberConnection) | undefined

  constructor(source: Source, transactionMs: number | undefined) {
    this.#source = source
    this.#transactionMs = transactionMs
  }

  /** @throws what joining throws, `NO_DATABASE` */
  async init(): Promise<void> {
    const source = this.#source
    const isOurs = typeof source === 'function'
    const member = isOurs ? await source() : source
    try {
      const { db } = member
      const reads = new RoutedReads(db.read)
      this.#connect = () => new MemberConnection(db, reads, this.#transactionMs)
    } catch (error) {
      // Kysely will try again, with another member.
      if (isOurs) await member.close()
      throw error
    }
    if (isOurs) this.#member = member
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#connect === undefined)
      throw new ConclaveError('CLOSED', 'The driver was not initialized, or is destroyed.')
    const connection = this.#free.pop() ?? this.#connect()
    this.#taken.add(connection)
    return connection
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    await ours(connection).begin(settings)
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await ours(connection).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await ours(connection).rollback()
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await ours(connection).control(`SAVEPOINT ${quoted(name)}`)
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await ours(connection).control(`ROLLBACK TO ${quoted(name)}`)
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await ours(connection).control(`RELEASE ${quoted(name)}`)
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    const own = ours(connection)
    await own.rollback()
    if (this.#taken.delete(own)) this.#free.push(own)
  }

  /** Rolls back what is open, and closes the member if it was joined here. */
  async destroy(): Promise<void> {
    this.#connect = undefined
    this.#free.length = 0
    await Promise.all(Array.from(this.#taken, (connection) => connection.rollback()))
    this.#taken.clear()
    await this.#member?.close()
  }
}

function ours(connection: DatabaseConnection): MemberConnection {
  if (connection instanceof MemberConnection) return connection
  throw new ConclaveError('INTERNAL', 'Kysely handed in a connection of another driver.')
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
