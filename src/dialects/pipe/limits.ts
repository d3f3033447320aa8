/** Limits and times of the pipe, each with the default of the existing system where it has one. docs/dialects.md lists them. */

/** Longest line, its LF included when we write it. Option `maxLineBytes`. */
export const MAX_LINE_BYTES: number = 1024 * 1024
/** What is written must be with the kernel within this time, or the connection is given up. Option `writeTimeoutMs`. */
export const WRITE_TIMEOUT_MS = 5000
/** Attempts of `sendWithRetry`, and the pause before each further one: this times 1, 2, ... Options `attempts`, `retryMs`. */
export const SEND_ATTEMPTS = 3
export const SEND_RETRY_MS = 100
/** One dial. Option `timeoutMs`. */
export const DIAL_TIMEOUT_MS = 5000
/** Attempts of `dialWithRetry`, and the pause after each: this times its number. Options `attempts`, `retryMs`. */
export const DIAL_ATTEMPTS = 30
export const DIAL_RETRY_MS = 500
/** How often a listener whose queue of callers is full is tried within one dial. */
export const DIAL_POLL_MS = 20
/** Messages a `BufferedSender` holds, those written and not yet confirmed too. Option `size`. */
export const BUFFER_SIZE = 4096
/** The same in bytes. Option `bytes`. */
export const BUFFER_BYTES: number = 64 * 1024 * 1024
/** How long `BufferedSender.close()` goes on delivering. Option `closeTimeoutMs`. */
export const CLOSE_TIMEOUT_MS = 5000
/** A receiver that has acknowledged nothing for so long after the first message is one of the existing system. Option `ackGraceMs`. */
export const ACK_GRACE_MS = 1000
/** Pauses before a `BufferedSender` dials again: doubling from first to last. */
export const REDIAL_FIRST_MS = 25
export const REDIAL_LAST_MS = 1000
/** How often a sender whose receiver acknowledges says that it is there. Option `heartbeatMs`. */
export const HEARTBEAT_MS = 5000
/** Messages a receiver holds before it stops reading. Option `queueSize`. */
export const RECEIVER_QUEUE_SIZE = 256
/** Messages after which a receiver acknowledges even within a turn. */
export const ACK_EVERY = 128
/** Connections of one listener at once; more are closed and counted. Option `maxConnections`. */
export const MAX_CONNECTIONS = 64
/** Connections the kernel keeps until they are accepted. */
export const BACKLOG = 128
/** Longest name of a pipe, in bytes. The path has its own limit. */
export const MAX_NAME_BYTES = 64
