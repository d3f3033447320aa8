export { outcomeOf, type Answer } from './answer.ts'
export { ChangeRecorder, type FeedEvent, type Operation, type Resync, type TableChange } from './changes.ts'
export { WriteClient, type Send, type WriteClientOptions } from './client.ts'
export type { TransactionOptions } from './client-transaction.ts'
export { Coordinator, type CoordinatorCounters, type Report } from './coordinator.ts'
export { fileIdentity } from './database-file.ts'
export { nodeSqlite, type Connection, type Driver, type Prepared } from './driver.ts'
export { feedFromWire, feedToWire } from './feed.ts'
export {
  databasePath,
  mayStand,
  openDatabase,
  OpenedDatabase,
  profileOf,
  type DatabaseSettings,
  type OpenedOptions,
  type ServeOptions,
} from './opening.ts'
export { METHODS } from './protocol.ts'
export { RequestContext } from './request-context.ts'
export { LocalReader, type LocalReaderOptions } from './reader.ts'
export type {
  AsyncTx,
  Durability,
  Migration,
  Procedure,
  Procedures,
  Reader,
  ReadStatement,
  RunResult,
  SqlRow,
  SqlValue,
  Statement,
  StatementPair,
  Tx,
  WriteOptions,
} from './types.ts'
export { watchQuery, type Feed, type WatchOptions } from './watch.ts'
