export { BufferedSender, bufferedSender, type BufferedSenderOptions, type DeliveryReport } from './buffered-sender.ts'
export { listen, PipeListener, type ListenerCounters, type PipeListenOptions } from './listener.ts'
export {
  BUFFER_SIZE,
  DIAL_ATTEMPTS,
  DIAL_RETRY_MS,
  DIAL_TIMEOUT_MS,
  MAX_LINE_BYTES,
  SEND_ATTEMPTS,
  SEND_RETRY_MS,
  WRITE_TIMEOUT_MS,
} from './limits.ts'
export {
  ackMessage,
  eventMessage,
  heartbeatMessage,
  incidentMessage,
  message,
  PIPE_TYPES,
  type PipeMessage,
  type PipeType,
} from './messages.ts'
export type { Overflow } from './outbox.ts'
export { CORRELATE_TO_RESPOND, INGEST_TO_CORRELATE, pipeDirectory, pipePath } from './paths.ts'
export { Receiver, type ReceiverCounters, type ReceiverOptions } from './receiver.ts'
export type { Incoming, NoSchemas, Outgoing, PipeSchemas } from './schema.ts'
export { dial, dialWithRetry, Sender, type DialOptions, type RetryOptions, type SenderOptions } from './sender.ts'
export { MemoryFactStore, type Fact, type FactStore } from './swarm/facts.ts'
export { GENOME_HASH } from './swarm/limits.ts'
export { TRUST, type Trust } from './swarm/protocol.ts'
export { SqliteFactStore } from './swarm/sqlite-store.ts'
export { openSwarm, SwarmTransport, type SwarmOptions, type SwarmPeer, type SyncResult } from './swarm/swarm.ts'
