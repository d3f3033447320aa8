/** Limits of the switchboard. docs/limits.md lists them with the test that hits each one. */

/** Milliseconds from connecting to a complete handshake. Option `handshakeTimeoutMs`. */
export const HANDSHAKE_TIMEOUT_MS: number = 5_000
/** Links without a handshake at once; one more ends the oldest of them (rule C5). */
export const MAX_STRANGERS: number = 64
/** Links in all. Option `maxLinks`. */
export const MAX_LINKS: number = 4096
/** Connections the kernel holds for us while our loop is busy (rule B2). */
export const BACKLOG: number = 4096
/**
 * Bytes that wait for one link beside its events: at it, new requests to that link are refused, and it has to go on
 * taking bytes. Option `maxLinkBytes`.
 */
export const MAX_LINK_BYTES: number = 8 * 1024 * 1024
/** Milliseconds in which a link that is over its bound must take something; otherwise it is cut off. */
export const STALL_MS: number = 5_000
/** So many times the bound is too much for a link that reads, too: it is cut off at once. */
export const BURST_FACTOR: number = 16
/** Long bodies of requests on their way to one link, in multiples of the bound; more are refused. */
export const LONG_FACTOR: number = 8
/** Bytes of events that wait for all links together, each body counted once (rule B17). Option `maxHubBytes`. */
export const MAX_HUB_BYTES: number = 256 * 1024 * 1024
/** Requests that wait at the switchboard for a member that may take them. Option `maxWaitingCalls`. */
export const MAX_WAITING_CALLS: number = 4096
/** Bytes of them. */
export const MAX_WAITING_BYTES: number = 32 * 1024 * 1024
/** Milliseconds of a new term in which an unknown target waits: the others are on their way (rule B14). */
export const GRACE_MS: number = 500
/** Milliseconds that the subscriptions and numbers of a lost link are kept for its return (rule C2). */
export const SESSION_MS: number = 60_000
/** Lost links that are remembered; past it the one that was lost first is forgotten. */
export const MAX_LOST_LINKS: number = 1024
/** Acknowledgements remembered for a member that comes back by another link. */
export const REMEMBERED_ACKS: number = 4096
/** Milliseconds that a publish in the primary waits, in looks of its own loop, until links that were not behind have it (B12). */
export const EXIT_PATIENCE_MS: number = 100
/** Milliseconds that an orderly end waits for what it has taken (rule A13). Option of `close()`. */
export const DRAIN_MS: number = 5_000
/** How often the primary looks whether its database's file and lock are still there (rule A1). */
export const DATABASE_CHECK_MS: number = 1_000
/** Milliseconds of silence, while something is outstanding, after which a primary counts as unresponsive (rule B2). */
export const UNRESPONSIVE_MS: number = 5_000
/** Longest JSON line, in bytes (rule B19). */
export const MAX_LINE_BYTES: number = 1024 * 1024
/** UTF-16 units of answers that wait for the rest of their batches, of one line peer: past it an answer is `TOO_LARGE`. */
export const MAX_HELD_ANSWERS: number = 32 * 1024 * 1024
/** Milliseconds that a line peer which sends no more may wait for its answers (rule B19). */
export const LINE_LINGER_MS: number = 5_000
/** Subscriptions of one link. */
export const MAX_LINK_SUBSCRIPTIONS: number = 512
/** Past events that a subscription is given in one turn; its reader, and others, come in between. */
export const CATCH_UP_STEP: number = 500
/** Methods that one member offers. */
export const MAX_OFFERS: number = 4096
/** Milliseconds that a member of an older version leaves the seat to a newer one before it stands again. */
export const DEFER_MS: number = 2_000
/** Milliseconds that an ended link may take to deliver what waits for it. */
export const LINK_LINGER_MS: number = 5_000
