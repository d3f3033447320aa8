/** Longest topic or pattern, in bytes of UTF-8. */
export const MAX_TOPIC_BYTES = 255

/** Topics whose subscribers a matcher remembers; past it the oldest is forgotten. */
export const MATCH_CACHE_TOPICS = 1024

/** Subscribers remembered over all of those topics together; past it everything is forgotten. */
export const MATCH_CACHE_REFERENCES = 65_536

/** Events the switchboard keeps for replay, and their bytes. */
export const RING_MAX_COUNT = 10_000
export const RING_MAX_BYTES: number = 16 * 1024 * 1024

/** The switchboard keeps the frames of events side by side in chunks of this size ... */
export const SLAB_BYTES: number = 64 * 1024
/** ... and a longer frame in an array of its own, so that no chunk has much room that nobody uses. */
export const SLAB_FRAME_BYTES: number = 8 * 1024

/** Events that wait for one subscriber (`maxQueued`), and their bytes. One event alone may be larger. */
export const QUEUE_MAX_COUNT = 1000
export const QUEUE_MAX_BYTES: number = 8 * 1024 * 1024

/** Publishes of one member that are not acknowledged yet, and their bytes; one more is refused with `OVERLOADED`. */
export const MAX_UNACKED_PUBLISHES: number = 65_536
export const MAX_UNACKED_BYTES: number = 32 * 1024 * 1024

/** Subscriptions of one member. */
export const MAX_SUBSCRIPTIONS: number = 512

/** Publishers whose last number a subscription remembers, to drop repeats after a change of primary (rule A12). */
export const MAX_REMEMBERED_PUBLISHERS: number = 4096
