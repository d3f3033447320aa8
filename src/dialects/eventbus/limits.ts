/** Limits and times of the event bus, each with the default of the existing system where it has one. docs/dialects.md lists them. */

/** Longest frame, its LF included when we write it. Option `maxFrameBytes`. */
export const MAX_FRAME_BYTES: number = 1024 * 1024
/** What the bus answers must be with the kernel within this time, or the connection is closed. Option `writeTimeoutMs`. */
export const WRITE_TIMEOUT_MS = 5000
/** The first message of a connection. Option `firstMessageTimeoutMs`. */
export const FIRST_MESSAGE_TIMEOUT_MS = 5000
/** Events that wait for one consumer; past it the oldest is dropped and counted. Option `queueSize`. */
export const QUEUE_SIZE = 100
/** The same in bytes; one event is always kept. Option `queueBytes`. */
export const QUEUE_BYTES: number = 16 * 1024 * 1024
/** Source states that wait for one consumer; past it the oldest is dropped. Option `queuedStates`. */
export const QUEUED_STATES = 64
/** Answers that wait for one consumer; past it the connection is closed. */
export const QUEUED_ANSWERS = 64
/** Events a consumer of ours holds before it stops reading: the rest waits at the bus, where losses are counted. Option `queueSize`. */
export const CONSUMER_QUEUE_SIZE = 100
/** How long an event id is remembered. Option `dedupMs`. */
export const DEDUP_MS: number = 5 * 60 * 1000
/** Event ids remembered; past it the oldest is forgotten. Option `dedupSize`. */
export const DEDUP_SIZE = 10_000
/** Without a consumer the bus ends after this time. Option `idleExitMs`; 0: never. */
export const IDLE_EXIT_MS = 30_000
/** Between unlinking the socket and ending, for those who were just connecting. Option `lastCallMs`. */
export const LAST_CALL_MS = 50
/** How long a hello waits for a clean-up, a set-up or a leaving exclusive consumer. Option `helloWaitMs`. */
export const HELLO_WAIT_MS = 3000
/** The existing system's name for the same option. */
export const HELLO_WAIT_ENV = 'LARKSUITE_CLI_EVENT_EXCLUSIVE_WAIT_TIMEOUT'
/** A consumer that was told to clean up and neither ends nor dies is closed after this time. Option `cleanupTimeoutMs`. */
export const CLEANUP_TIMEOUT_MS = 30_000
/** A consumer that closed first and cleans up then (v1): its process is waited for so long. Option `lingerMs`. */
export const LINGER_MS = 10_000
/** How often that process is looked at. */
export const LINGER_POLL_MS = 25
/** A bus that follows one that was killed lets its consumers come back before it says who is first or last. Option `settleMs`. */
export const SETTLE_MS = 1000
/** Keys remembered as never cleaned up. */
export const MAX_ABANDONED_KEYS = 1024
/** Consumers at once; more are rejected. Option `maxConsumers`. */
export const MAX_CONSUMERS = 1024
/** Hellos that wait at once; more are rejected. Option `maxWaiting`. */
export const MAX_WAITING = 256
/** Connections without a first message; past it the oldest is closed. Option `maxStrangers`. */
export const MAX_STRANGERS = 64
/** Event types one consumer may ask for; more is rejected. */
export const MAX_EVENT_TYPES = 1024
/** How long `close` waits for consumers to take what is queued. Option `drainMs`. */
export const DRAIN_MS = 1000
/** A consumer that took no byte for so long is not waited for by `room()`. Option `stallMs`. */
export const STALL_MS = 1000
/** Events gathered before they are written within a turn. */
export const BATCH_EVENTS = 64
/** Bytes of one write. */
export const BATCH_BYTES: number = 64 * 1024
/** Connections that the kernel keeps until they are accepted. */
export const BACKLOG = 512

/** The alive lock: tried so often, so long. Option `lockWaitMs`. */
export const LOCK_RETRY_MS = 50
export const LOCK_WAIT_MS = 2000
/** How often the bus looks whether the alive lock is still the one at its path. */
export const LOCK_CHECK_MS = 1000

/** The health probe (status_query) before a hello. Option `probeTimeoutMs`. */
export const PROBE_TIMEOUT_MS = 2000
/** hello to hello_ack. Option `helloTimeoutMs`. */
export const HELLO_TIMEOUT_MS = 5000
/** pre_shutdown_check to its answer. Option `checkTimeoutMs`. */
export const CHECK_TIMEOUT_MS = 2000
/** Asking the remote side how many are connected. Option `remoteTimeoutMs`. */
export const REMOTE_TIMEOUT_MS = 5000
/** How often, and how long, a bus that was started is looked for. Option `startTimeoutMs`. */
export const START_POLL_MS = 50
export const START_TIMEOUT_MS = 3000
/** Pauses between two attempts to come back to a bus: doubling from first to last. */
export const RECONNECT_FIRST_MS = 25
export const RECONNECT_LAST_MS = 400
/** Refusals in a row, on coming back, after which a consumer gives up. */
export const RECONNECT_REFUSALS = 5

/** Longest pid file. */
export const MAX_PID_FILE_BYTES = 256
/** bus.log is put aside at the start of a bus when it is longer. Option `maxLogBytes`. */
export const MAX_LOG_BYTES: number = 5 * 1024 * 1024
/** Sub-folders that `discoverBuses` looks at. */
export const MAX_DISCOVERED = 1024
