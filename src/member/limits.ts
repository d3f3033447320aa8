/** Milliseconds that `join()` waits for a primary that is starting, stopped or busy. */
export const JOIN_TIMEOUT_MS: number = 30_000
/** Milliseconds that `close()` drains. Option `timeoutMs`. */
export const CLOSE_TIMEOUT_MS: number = 5_000
/** Milliseconds that `inspect()` waits. */
export const INSPECT_TIMEOUT_MS: number = 5_000
/** Statuses that wait for a reader of `status()`; the oldest are dropped. */
export const MAX_QUEUED_STATUSES: number = 1_000
/** How long a closing member's goodbye may wait for the database: the drain waits for nothing less. */
export const GOODBYE_MS: number = 1_000
