import { ConclaveError } from '../errors/index.ts'
import { posixPlatform, type Platform } from '../platform/index.ts'
import { native as addon, type Native, type SocketHandle } from '../platform/native.ts'
import { cannotListen, checkPathLength, foreignPeer } from './errors.ts'
import { KeptPackets } from './kept.ts'
import { MAX_PACKET_BYTES, SOCKET_MODE } from './limits.ts'
import { StreamConnection } from './stream.ts'
import type {
  Listener,
  PacketConnection,
  PacketConnectOptions,
  PacketListenOptions,
  PacketTransport,
  PeerCredentials,
} from './transport.ts'
import { UnixListener, type SocketKind } from './unix-listener.ts'
import { peerOf, unreachable, UnixSocket } from './unix-socket.ts'

const PEER_STATES = ['there', 'ended', 'closed'] as const

/** Unix sockets of type SOCK_SEQPACKET. @throws `UNSUPPORTED` where the system has none */
export function packetTransport(platform: Platform = posixPlatform(), native: Native = addon()): PacketTransport {
  const buffer = native.packetBuffer()
  if (buffer !== undefined) return new SeqpacketTransport(platform, native, buffer)
  throw new ConclaveError(
    'UNSUPPORTED',
    'Only Linux has Unix sockets that keep packets apart (SOCK_SEQPACKET): run this part on Linux.',
  )
}

class SeqpacketTransport implements PacketTransport {
  readonly #platform: Platform
  readonly #native: Native
  readonly #buffer: Uint8Array

  constructor(platform: Platform, native: Native, buffer: Uint8Array) {
    this.#platform = platform
    this.#native = native
    this.#buffer = buffer
  }

  listen(path: string, options: PacketListenOptions): Listener {
    checkPathLength(path, this.#platform)
    const handle = this.#native.listenPackets(path, options.backlog, options.mode ?? SOCKET_MODE)
    if (typeof handle === 'number') throw cannotListen(path, handle)
    const kind: SocketKind<PacketConnection> = {
      admits: options.admits ?? this.#isOurs,
      connection: (accepted, peer) => this.#connection(accepted, peer),
    }
    return new UnixListener(this.#native, this.#platform, handle, path, options, kind)
  }

  connect(path: string, { admits = this.#isOurs }: PacketConnectOptions = {}): PacketConnection {
    checkPathLength(path, this.#platform)
    const handle = this.#native.connectPackets(path)
    if (typeof handle === 'number') throw unreachable(path, handle)
    const peer = peerOf(this.#native, handle, path)
    try {
      if (!admits(peer)) throw foreignPeer(path, 'listener', peer)
    } catch (error) {
      this.#native.close(handle)
      throw error
    }
    return this.#connection(handle, peer)
  }

  readonly #isOurs = (peer: PeerCredentials): boolean => this.#platform.isOurUid(peer.uid)

  #connection(handle: SocketHandle, peer: PeerCredentials): PacketConnection {
    return new SeqpacketConnection(this.#native, handle, this.#buffer, peer)
  }
}

class SeqpacketConnection extends StreamConnection implements PacketConnection {
  readonly #native: Native
  readonly #handle: SocketHandle

  constructor(native: Native, handle: SocketHandle, buffer: Uint8Array, peer: PeerCredentials) {
    super(new UnixSocket(native, handle, buffer), peer, new KeptPackets())
    this.#native = native
    this.#handle = handle
  }

  get peerState(): 'there' | 'ended' | 'closed' {
    return PEER_STATES[this.#native.peerState(this.#handle)] ?? 'closed'
  }

  override write(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start <= MAX_PACKET_BYTES) return super.write(bytes, start, end)
    throw new ConclaveError('TOO_LARGE', `A packet of ${end - start} bytes: at most ${MAX_PACKET_BYTES} travel in one.`)
  }
}
