/** Limits and times of the ZeroMQ bus. docs/dialects.md lists them with the test that hits each one. */

/** Where the ports of a directory begin, and how many begin there. */
export const FIRST_PORT = 40_000
export const PORTS = 20_000

/** Connecting, the handshake included. Option `dialTimeoutMs`. */
export const DIAL_TIMEOUT_MS = 5_000
/** Attempts to connect before those who wait are told (the first and three more), and the pause between them. */
export const DIAL_ATTEMPTS = 4
export const DIAL_RETRY_MS = 250
/** Patience of a call, waiting for its turn included. Option `timeoutMs`. */
export const CALL_TIMEOUT_MS = 10_000
/** After a lost connection, how long what it brought is still read before calls on it end. */
export const LOST_GRACE_MS = 50
/** Calls on their way to one endpoint; more wait for their turn. Option `maxInFlight`. */
export const MAX_IN_FLIGHT = 128
/** Calls to one endpoint that wait or are on their way, and bytes of them; more are `OVERLOADED`. */
export const MAX_PENDING_CALLS = 16_384
export const MAX_PENDING_BYTES: number = 64 * 1024 * 1024
/** Pause before a call that the socket did not take is offered again. */
export const RESEND_MS = 5

/** Longest message, in either direction; a peer that sends a longer one is disconnected. Option `maxMessageBytes`. */
export const MAX_MESSAGE_BYTES: number = 16 * 1024 * 1024
/** Longest topic. */
export const MAX_TOPIC_BYTES = 1_024
/** Messages kept for one peer that does not read. Option `sendHighWaterMark`. */
export const SEND_HIGH_WATER_MARK = 16_384
/** Bytes of events kept for one subscriber that does not read: large events lower the mark. Option `sendHighWaterBytes`. */
export const SEND_HIGH_WATER_BYTES: number = 16 * 1024 * 1024
/** Bytes of answers kept for one caller that does not read: large ones lower the mark. Option `answerHighWaterBytes`. */
export const ANSWER_HIGH_WATER_BYTES: number = 256 * 1024 * 1024
/** Messages of one peer that were received and not yet taken. Option `receiveHighWaterMark`. */
export const RECEIVE_HIGH_WATER_MARK = 1_000
/** Events after which a publisher that awaits gives way to the rest of its process. */
export const EVENTS_A_TURN = 256
/** Topics that a bus numbers; events of further ones carry no number. */
export const MAX_NUMBERED_TOPICS = 4_096

/** How long a TCP port in use is tried again, and the pause: one that was just given up is free in a moment. */
export const BIND_PATIENCE_MS = 250
export const BIND_RETRY_MS = 10

/** Requests that run at once, in all and for one peer; more are answered with `OVERLOADED`. */
export const MAX_REQUESTS = 4_096
export const MAX_REQUESTS_A_PEER = 1_024
/** Bytes of them. Option `maxRequestBytes`. */
export const MAX_REQUEST_BYTES: number = 64 * 1024 * 1024

/** Between two heartbeats. Option `heartbeatMs`; 0: none. */
export const HEARTBEAT_MS = 5_000
/** Silence after which a watcher takes the primary for dead, where it is asked to. Option `timeoutMs`. */
export const FAILOVER_TIMEOUT_MS = 15_000
/** How long `shutdown` waits for requests that run. Option `drainMs`. */
export const DRAIN_MS = 5_000
/** How long answers that `shutdown` waited for may take to their callers, before connections end. */
export const LEAVE_MS = 50
/** How long the last events may take to leave after `shutdown`, the notice among them. Option `lingerMs`. */
export const LINGER_MS = 1_000

/** Events that wait for a slow reader of a subscription, and bytes of them. Options `queueSize`, `queueBytes`. */
export const QUEUE_SIZE = 1_024
export const QUEUE_BYTES: number = 16 * 1024 * 1024
/** Topics whose numbers a subscription remembers. */
export const MAX_FOLLOWED_TOPICS = 4_096
/** How long a subscription at a bus that can't tell is taken to need until it is in force. Option `settleMs`. */
export const SETTLE_MS = 250
/** First and longest pause between two questions whether a subscription is in force. */
export const PROBE_FIRST_MS = 5
export const PROBE_LAST_MS = 200

/** Longest content of a lock file. */
export const MAX_LOCK_FILE_BYTES = 4_096
/** How long a lock file that says nothing of use is read again. Option `settleMs` of `acquireLock`. */
export const LOCK_SETTLE_MS = 2_000
/** Pause between two looks at it. */
export const LOCK_RETRY_MS = 5
/** How often a bus looks whether its lock is still the one at its path. */
export const LOCK_CHECK_MS = 1_000
/** First and longest pause between two attempts of a watcher to become primary or to find the next one. */
export const WATCH_FIRST_MS = 5
export const WATCH_LAST_MS = 1_000

/** Patience of a forwarded write. Option `timeoutMs`. */
export const WRITE_TIMEOUT_MS = 5_000
/** Attempts of a write that may be repeated, and the pauses between them. */
export const WRITE_ATTEMPTS = 3
export const WRITE_RETRY_MS = 50
/** Primaries that a proxy remembers the kind of. */
export const MAX_KNOWN_PRIMARIES = 64
/** Writes that wait in the primary; more are `OVERLOADED`. Option `maxQueued`. */
export const MAX_QUEUED_WRITES = 256
/** Outcomes of writes that are remembered, bytes of them, and for how long. */
export const MAX_REMEMBERED_WRITES = 16_384
export const MAX_REMEMBERED_BYTES: number = 16 * 1024 * 1024
export const REMEMBER_MS: number = 10 * 60_000

/** Events that a bridge has carried to a member and remembers, so as not to carry them back. */
export const MAX_CARRIED = 4_096
/** Longest result text of a bridged `tool.end`, as upstream cuts it. */
export const TOOL_RESULT_BYTES = 512
