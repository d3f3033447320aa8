export { flushAtExit, flushed } from './exit.ts'
export { memoryTransport } from './memory.ts'
export { packetTransport } from './packets.ts'
export { MAX_PACKET_BYTES } from './limits.ts'
export type {
  Connection,
  ConnectionHandlers,
  Listener,
  ListenOptions,
  PacketConnection,
  PacketConnectOptions,
  PacketListenOptions,
  PacketTransport,
  PeerCredentials,
  Transport,
} from './transport.ts'
export { unixTransport } from './unix.ts'
