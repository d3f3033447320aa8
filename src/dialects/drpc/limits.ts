/** Limits of dRPC. docs/dialects.md lists them with the test that hits each one. */

/** Bytes before the data of each packet. */
export const HEADER_BYTES = 24
/** The largest packet; existing peers know no other. */
export const PACKET_BYTES = 131_072
/** Data bytes of a full packet. */
export const CHUNK_BYTES: number = PACKET_BYTES - HEADER_BYTES
/** Most bytes of one message, all its chunks together. Option `maxMessageBytes`. */
export const MAX_MESSAGE_BYTES: number = 64 * 1024 * 1024

/** Connections at once. Option `maxSessions`. */
export const MAX_SESSIONS = 1024
/** Connections the kernel keeps for a server that is busy. */
export const BACKLOG = 1024
/** Bytes of half-received messages and of calls that wait, all sessions together. Option `maxBufferedBytes`. */
export const MAX_BUFFERED_BYTES: number = 256 * 1024 * 1024
/** Calls of one session that wait for their turn before it is no longer read. Option `maxQueuedCalls`. */
export const MAX_QUEUED_CALLS = 16
/** The same in bytes. Option `maxQueuedBytes`. */
export const MAX_QUEUED_BYTES: number = 1024 * 1024
/** Calls of one session that run at once when answers may come in any order. Option `maxCallsInFlight`. */
export const MAX_CALLS_IN_FLIGHT = 64
/** From the first chunk of a message to its last. Option `messageTimeoutMs`. */
export const MESSAGE_TIMEOUT_MS = 30_000
/** How long a peer may read nothing while answers wait for it. Option `writeTimeoutMs`. */
export const WRITE_TIMEOUT_MS = 30_000
/** How long a session that ends waits for its peer to end too, so that the last answer is not lost. */
export const LINGER_MS = 1000
/** How often a session that is not read looks whether its peer is still there. */
export const PEER_CHECK_MS = 1000
/** How long `shutdown` waits for calls. Option `timeoutMs`. */
export const DRAIN_TIMEOUT_MS = 5000

/** From the call to its answer, the wait for its turn included. Option `timeoutMs`. */
export const CALL_TIMEOUT_MS = 30_000
/** How long `connect` tries while the server has no room for another connection. Option `connectTimeoutMs`. */
export const CONNECT_TIMEOUT_MS = 5000
/** Calls of one client that wait or are under way. Option `maxPendingCalls`. */
export const MAX_PENDING_CALLS = 1024
/** Bytes of calls that wait for their turn. Option `maxPendingBytes`. */
export const MAX_PENDING_BYTES: number = 64 * 1024 * 1024
/** Calls given up whose answers may still come; one more closes the connection. */
export const MAX_GIVEN_UP = 1024
/** Pause before the second attempt to connect, doubled up to the other one. */
export const RETRY_MIN_MS = 5
export const RETRY_MAX_MS = 1000
