import type { MemberRef } from '../../wire/peers.ts'
import type { EncodedFrame } from '../../wire/writer.ts'

/** An event as the switchboard keeps it: one copy of its frame, however many queues share it (rule B17). */
export interface Entry extends EncodedFrame {
  /** Number within the term. */
  readonly seq: number
  /** What it counts for. */
  readonly bytes: number
  readonly topic: string
  /** Its EVENT frame, beside others in a chunk of the slab; in an array of its own once the ring has let go of it. */
  chunk: Uint8Array
  start: number
  end: number
  readonly bodyBytes: number
  held: boolean
  readonly flags: number
  readonly publisherSlot: number
  readonly publisher: MemberRef
  readonly number: number
  readonly time: number
  /** Queues it waits in. */
  waiting: number
}

/** It waits, perhaps for long, and must not keep a whole chunk of the slab alive. */
export function leaveSlab(entry: Entry): void {
  if (entry.end - entry.start === entry.chunk.length) return
  entry.chunk = new Uint8Array(entry.chunk.subarray(entry.start, entry.end))
  entry.start = 0
  entry.end = entry.chunk.length
}
