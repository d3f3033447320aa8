/** Limits of the wire. docs/limits.md lists them with the test that hits each one. */

/** Bytes of a binary frame's header. */
export const HEADER_BYTES: number = 40
/** Most body bytes in one frame; a longer body travels as a transfer of several (rule B16). */
export const MAX_FRAGMENT_BYTES: number = 64 * 1024
/** Most bytes of a frame's name: method or topic, target, traceparent. */
export const MAX_NAME_BYTES: number = 1024
/** Most bytes of one whole body: params, result, event. Option `maxBodyBytes`. */
export const MAX_BODY_BYTES: number = 16 * 1024 * 1024
/** Bytes of one transfer that may be on the way, not yet taken by the receiver (rule F5). */
export const TRANSFER_WINDOW_BYTES: number = 256 * 1024
/** A fragment tells how long its body will be: room is made for so many times what has come of it. */
export const FORETOLD_FACTOR: number = 16
/** A fragment of at least so many bytes is written by itself, from where it lies; shorter ones are gathered. */
export const LONG_FRAGMENT_BYTES: number = 16 * 1024
/** Room for one fragment with header and name. */
export const BLOCK_BYTES: number = HEADER_BYTES + MAX_NAME_BYTES + MAX_FRAGMENT_BYTES
/** Such blocks that are kept for reuse while long bodies are under way ... */
export const POOLED_BLOCKS: number = 64
/** ... and when none is. */
export const IDLE_BLOCKS: number = 16
/** Transfers at once in one direction of a link; further ones wait at their sender. */
export const MAX_TRANSFERS: number = 64
/** Bytes of unfinished bodies that a link joins at once; past it only the oldest body goes on (rule B17). */
export const MAX_JOINED_BYTES: number = 32 * 1024 * 1024
/** Frames of calls gathered in a turn: past so many bytes they leave, and the other side begins while this one goes on. */
export const EARLY_WRITE_BYTES: number = 4 * 1024
/** Size of the pooled buffer that gathers one turn's frames at most ... */
export const BATCH_BYTES: number = 64 * 1024
/** ... and of the one that a turn begins with: many links with one small frame each need no more. */
export const SMALL_BATCH_BYTES: number = 4 * 1024
/** Batch buffers that a pool keeps for reuse ... */
export const POOLED_BATCHES: number = 16
/** ... and small ones. */
export const POOLED_SMALL_BATCHES: number = 1024
/** Encoded frames side by side that are written from where they lie, though more follows: copying them would cost more. */
export const UNBATCHED_BYTES: number = 16 * 1024
