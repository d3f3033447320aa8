export { ConclaveError, type Code, type Outcome } from './errors/index.ts'
export type {
  DatabaseChange,
  Event,
  PublishOptions,
  SubscribeOptions,
  Subscription,
  SystemEvents,
} from './events/types.ts'
export type {
  AnyWrites,
  AsyncTx,
  Database,
  DatabaseOptions,
  Durability,
  Migration,
  Reader,
  ReadStatement,
  RunResult,
  SqlRow,
  SqlValue,
  Statement,
  TransactionOptions,
  Tx,
  WriteOptions,
} from './member/database.ts'
export { bridge, type Bridge, type BridgeOptions } from './member/bridge.ts'
export { findWorkspace, join } from './member/join.ts'
export type {
  CloseReason,
  Context,
  Handlers,
  JoinOptions,
  LinkSnapshot,
  Logger,
  Member,
  MemberSnapshot,
  Place,
  Snapshot,
  Start,
  Status,
  Stop,
} from './member/types.ts'
export { defineContract, type Contract, type EventSpec, type MethodSpec } from './rpc/contract.ts'
export type {
  CallOptions,
  GatherOptions,
  NotifyOptions,
  OfferOptions,
  Reply,
  Stream,
  To,
  ToMany,
  Wait,
} from './rpc/types.ts'
export type { MemberRef, Role } from './wire/peers.ts'
export type { Checked, Schema } from './wire/schema.ts'
