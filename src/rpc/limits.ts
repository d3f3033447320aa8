/** Limits of calls. docs/limits.md lists them with the test that hits each one. */

/** Calls of one member that are on their way at once; the switchboard refuses more (rule C5). */
export const MAX_CALLS_IN_FLIGHT: number = 1024
/** Calls of one member that wait or are on their way; one more is refused with `OVERLOADED`. Option `maxPendingCalls`. */
export const MAX_PENDING_CALLS: number = 16_384
/** Bytes of params that pending calls hold. Option `maxPendingBytes`. */
export const MAX_PENDING_BYTES: number = 64 * 1024 * 1024
/** Patience of a call, in milliseconds. Option `timeoutMs`. */
export const CALL_TIMEOUT_MS: number = 30_000
/** Patience of a gather, in milliseconds. Option `timeoutMs`. */
export const GATHER_TIMEOUT_MS: number = 5_000
/** Bytes of items a stream may have on their way or unread at the consumer (rule B17). */
export const STREAM_WINDOW_BYTES: number = 256 * 1024
/** Streams that one member serves at once; one more is refused with `OVERLOADED` (rule B17). */
export const MAX_STREAMS: number = 64
/** Finished results of idempotent calls kept for a repeat, per member (rule B15). */
export const MAX_KEPT_RESULTS: number = 1024
/** Bytes of them. */
export const MAX_KEPT_BYTES: number = 16 * 1024 * 1024
/** Local requests started in one turn; the rest wait for the next one, so that sockets are served between (rule F3). */
export const REQUESTS_A_TURN: number = 128
/** What an item or a kept result is counted as, beside its body. */
export const ITEM_OVERHEAD_BYTES: number = 64
/** Places of a table of numbers, a power of two: those that it begins with ... */
export const LEAST_PLACES: number = 8
/** ... and those that it grows to, by what is under way at once; the rest is looked up. */
export const MOST_PLACES: number = 16_384
