import type { Counters } from './counters.ts'
import type { Outbox } from './outbox.ts'
import type { Peer } from './peer.ts'

/** What the two kinds of connection need of their node. */
export interface Switchboard {
  readonly own: string
  readonly network: string
  readonly counters: Counters
  /** @param probe asks the peer for a sign of life, where its side can */
  newPeer(name: string, upstream: boolean, outbox: Outbox, probe?: () => void): Peer
  peerUp(peer: Peer): void
  peerDown(peer: Peer): void
  /** Of an admitted peer. */
  message(peer: Peer, command: 'CALL' | 'CAST' | 'BACK', data: Buffer): void
  failed(error: unknown, what: string): void
}
