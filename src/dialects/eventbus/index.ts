export { EventBus, listenBus, type BusCounters } from './bus.ts'
export { queryStatus, stopBus, type AskOptions } from './client.ts'
export { decodeMessage, encodeMessage } from './codec.ts'
export { consume, EventConsumer } from './consumer.ts'
export type {
  ConsumeOptions,
  ConsumerEnd,
  ConsumerNotice,
  EndReason,
  HookContext,
  ReceivedEvent,
} from './consumer-types.ts'
export { discoverBuses, type FoundBus } from './discover.ts'
export { readFrames, type ReadFramesOptions } from './frames.ts'
export {
  CLEANUP_TIMEOUT_MS,
  DEDUP_MS,
  DEDUP_SIZE,
  HELLO_WAIT_MS,
  IDLE_EXIT_MS,
  MAX_FRAME_BYTES,
  QUEUE_SIZE,
  WRITE_TIMEOUT_MS,
} from './limits.ts'
export {
  BUS_VERSION,
  SOURCE_STATES,
  type BusMessage,
  type Bye,
  type ConsumerStatus,
  type EventFields,
  type EventMessage,
  type Hello,
  type HelloAck,
  type PreShutdownAck,
  type PreShutdownCheck,
  type Shutdown,
  type SourceState,
  type SourceStatus,
  type StatusQuery,
  type StatusResponse,
} from './messages.ts'
export type { BusEnd, BusNotice, BusOptions } from './options.ts'
export {
  busFiles,
  busSocket,
  configDirectory,
  eventsDirectory,
  sanitizeAppId,
  type BusFiles,
  type ConfigOptions,
} from './paths.ts'
export type { Published, Source, SourceRunner } from './source.ts'
export type { StartOptions } from './start.ts'
export { subscriptionId } from './subscription-id.ts'
