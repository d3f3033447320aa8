export { flushAtExit, flushed } from './exit.ts'
export { memoryTransport } from './memory.ts'
export type {
  Connection,
  ConnectionHandlers,
  Listener,
  ListenOptions,
  PeerCredentials,
  Transport,
} from './transport.ts'
export { unixTransport } from './unix.ts'
