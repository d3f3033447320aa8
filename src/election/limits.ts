/** Named bounds and times of this room. Durations end in `Ms`, sizes in `Bytes`. */

/** Highest term: a public `seq` is term * 2^32 + n and must stay a safe integer, which leaves 21 bits. More is damage (B4). */
export const MAX_TERM: number = 2 ** 21 - 1
/** Added to the highest term on record after a reboot, or when the term file is damaged or missing (B8). */
export const TERM_JUMP = 100
export const MAX_TERM_FILE_BYTES = 1024

export const MAX_ANNOUNCEMENT_BYTES = 4096
/** Longest member name in an announcement, in UTF-16 units. */
export const MAX_NAME_LENGTH = 256
/** Longest host name (RFC 1035) and boot id in an announcement, in UTF-16 units. */
export const MAX_LABEL_LENGTH = 255
/** Highest protocol version that can be announced: it travels as 16 bits. */
export const MAX_PROTOCOL = 0xffff

/** A member id: 128 random bits, base64url. */
export const INSTANCE_BYTES = 16
/** The name of a socket: 96 random bits, base64url, and `.sock` (B5). */
export const ENDPOINT_BYTES = 12

/** A socket of our form that nobody announces is left alone until it is this old (B5). */
export const SWEEP_AGE_MS: number = 24 * 60 * 60 * 1000
/** Between the two refused connections that prove a socket dead (B5). */
export const SWEEP_PAUSE_MS = 1000
/** Sockets looked at in one sweep; the rest is for the next primary. */
export const SWEEP_MAX = 256

/**
 * The first pauses between two rounds of a search (A9). One EWOULDBLOCK proves nothing. Rule A9 goes to 10 ms after the
 * fifth; a successor takes about 20 ms to serve, so those who wait for it look every few milliseconds until then
 * (docs/decisions/004-seek-pauses.md).
 */
export const FIRST_PAUSES_MS: readonly number[] = [0.2, 0.3, 0.5, 1, 2, ...new Array<number>(16).fill(3)]
/** Later pauses are random between these two (A9) ... */
export const PAUSE_MIN_MS = 10
export const PAUSE_MAX_MS = 50
/** ... and this many times as long when the search has lasted `SLOW_AFTER_MS`: somebody waits for minutes then. */
export const SLOW_FACTOR = 5
export const SLOW_AFTER_MS = 10_000
/** What a search needs at least before it says that nobody answers, whatever its deadline: a failover takes about 25 ms. */
export const CONFIRM_MS = 50
/** A primary whose link broke may live on (it dropped the link): its announcement counts again after this time. */
export const LOST_GRACE_MS = 100
/** Lock busy and endpoint absent for this long: it lies where this process cannot see it (B6). */
export const UNREACHABLE_AFTER_MS = 2000
/** Pause before the next attempt on a primary that refused a handshake: doubling from first to last (C2). */
export const RETRY_FIRST_MS = 50
export const RETRY_LAST_MS = 2000

/** A candidate that failed between lock and serving stands again after this time, doubling to the last (A7). */
export const STAND_AGAIN_FIRST_MS = 100
export const STAND_AGAIN_LAST_MS = 5000

/** How often the primary looks whether its lock is still the workspace's (A1). */
export const LOCK_CHECK_MS = 1000
/** How many of those checks pass between two looks at its socket and announcement: every 10 s (B6). */
export const CHECKS_PER_ENDPOINT_CHECK = 10

/** Longest timer of Node: 2^31 - 1 ms. A longer one fires at once (B1). */
export const MAX_TIMER_MS: number = 2 ** 31 - 1
