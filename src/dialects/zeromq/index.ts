export { bridge, type Bridge, type BridgeOptions, type BusLike, type EmitterLike, type MemberLike } from './bridge.ts'
export { Bus } from './bus.ts'
export { Client, type CallOptions, type ClientNotice, type ClientOptions } from './client.ts'
export { dbproxy, type DbProxy, type DbProxyOptions, type ProxyWriteOptions } from './dbproxy.ts'
export { decodeFrame, encodeFrame, exactly, type Envelope } from './envelope.ts'
export type { ReceivedEnvelope } from './event-queue.ts'
export { watchPrimary, type FailoverWatcher, type LossReason, type Promotion, type WatchOptions } from './failover.ts'
export {
  CALL_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  FAILOVER_TIMEOUT_MS,
  HEARTBEAT_MS,
  SEND_HIGH_WATER_BYTES,
  SEND_HIGH_WATER_MARK,
  SETTLE_MS,
  WRITE_TIMEOUT_MS,
} from './limits.ts'
export {
  acquireLock,
  readLock,
  releaseLock,
  type AcquireOptions,
  type Acquired,
  type BusLock,
  type LockPlace,
} from './lock-file.ts'
export { addressOf, type LockInfo } from './lock-info.ts'
export { endpointsForPath, portsForPath, rpcBeside, type BusAddress, type Endpoints, type Ports } from './ports.ts'
export { newKeys, type BusKeys, type ClientKeys, type KeyPair, type TcpOptions } from './security.ts'
export {
  serveWrites,
  type ServeWritesOptions,
  type WritableDatabase,
  type WriteMeta,
  type WriteProcedure,
  type WriteRunOptions,
} from './serve-writes.ts'
export type { Subscription, SubscriptionNotice, SubscriptionOptions } from './subscription.ts'
export type {
  BusCounters,
  BusNotice,
  BusOptions,
  MethodHandler,
  MethodOptions,
  PublishOptions,
  RequestContext,
} from './types.ts'
export { WRITE_ERRORS, writeErrorOf, type WriteErrorCode } from './write-errors.ts'
