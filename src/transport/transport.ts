/** Byte streams between processes: sockets or memory. Bytes and backpressure only. */
export interface Transport {
  /** @throws `PATH_TOO_LONG`, `CONFLICT` (address in use), or the system's error as cause of `INTERNAL` */
  listen(path: string, options: ListenOptions): Listener
  /**
   * One attempt, answered at once: a local socket either has a listener with room or it does not.
   * @throws an error with `data.errno` (`ENOENT`, `ECONNREFUSED`, `EAGAIN`, …) as `DISCONNECTED`; `FORBIDDEN` when the
   * listener belongs to another user; `PATH_TOO_LONG`
   */
  connect(path: string): Connection
}

export interface ListenOptions {
  readonly backlog: number
  /** Called for each accepted connection, before any of its bytes. It must set the handlers before it returns. */
  readonly onConnection: (connection: Connection) => void
  /** An accept that failed; accepting goes on. */
  readonly onError: (error: Error) => void
}

export interface Listener {
  readonly path: string
  /** Stops accepting. Unlinks the path only if it still names the socket it bound. Idempotent. */
  close(): void
  ref(): void
  unref(): void
}

/** Who the kernel says is on the other side. The pid is a label: it may be of another namespace, or reused. */
export interface PeerCredentials {
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

export interface ConnectionHandlers {
  /** Bytes `start` to `end` of `bytes` arrived. They are valid only during the call: copy what must outlive it. */
  onData(bytes: Uint8Array, start: number, end: number): void
  /** The peer sends no more; everything it sent was handed to `onData`. Writing may go on. */
  onEnd(): void
  /** Bytes that `write` kept are with the kernel now. */
  onDrain(): void
  /** Last call. Everything that could still be read was handed to `onData`, also after a failed write (rule A8). */
  onClose(error: Error | undefined): void
}

export interface Connection {
  /** @throws `FORBIDDEN` where the platform can't tell */
  readonly peer: PeerCredentials
  /** Set once, in the turn the connection was made. */
  handlers: ConnectionHandlers
  /**
   * Hands bytes to the kernel; what it does not take at once is copied and kept. The caller may reuse `bytes` on return.
   * @returns true when nothing is kept. A failed write never throws: writing stops, reading goes on to the end.
   */
  write(bytes: Uint8Array, start: number, end: number): boolean
  /** Bytes kept, not yet with the kernel. */
  readonly bufferedBytes: number
  /** Bytes the kernel took in all. What it did not take, the peer has never seen. */
  readonly takenBytes: number
  /** Stops and resumes `onData`. */
  pause(): void
  resume(): void
  /** No more writes; the kept bytes still go, then the peer sees the end (shutdown(2), SHUT_WR). */
  end(): void
  /** At once; kept bytes are dropped; `onClose` follows in a later turn. Idempotent. */
  close(): void
  ref(): void
  unref(): void
}

/**
 * The same, but whole packets instead of bytes: each `write` is one packet, and each `onData` is one. A packet has from 1 to
 * `MAX_PACKET_BYTES` bytes; a longer one is `TOO_LARGE` when written, and ends the connection when received. An empty
 * packet can't be told from the end. Back-pressure, half close and the order of the end are those of a stream.
 */
export interface PacketTransport extends Transport {
  listen(path: string, options: PacketListenOptions): Listener
  connect(path: string, options?: PacketConnectOptions): PacketConnection
}

export interface PacketListenOptions extends Omit<ListenOptions, 'onConnection'> {
  readonly onConnection: (connection: PacketConnection) => void
  /** Of the socket file, never open wider, whatever the umask. Default 0600. */
  readonly mode?: number
  /** Which of those that the file's mode lets in are accepted. Default: processes of our user. */
  readonly admits?: (peer: PeerCredentials) => boolean
}

export interface PacketConnectOptions {
  /** Which listeners we talk to. Default: processes of our user. */
  readonly admits?: (peer: PeerCredentials) => boolean
}

export interface PacketConnection extends Connection {
  /** `ended`: it sends no more. Asks the kernel: true before what the peer sent last is read. */
  readonly peerState: 'there' | 'ended' | 'closed'
}
