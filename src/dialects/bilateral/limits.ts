/** Limits and times of bilateral RPC. docs/dialects.md lists them with the test that hits each one. */

/** A connector waits so long before it connects for the first time. Option `startDelayMs`. */
export const START_DELAY_MS = 200
/** Until a first try is counted, where no connection came up before: JOIN goes as soon as it does. Option `joinFirstMs`. */
export const JOIN_FIRST_MS = 200
/** Pause between two JOINs. Option `joinEveryMs`. */
export const JOIN_EVERY_MS = 5_000
/** JOINs without an answer after which a connector retreats. Option `maxJoins`. */
export const MAX_JOINS = 10
/** Silence of the binder after which a connector asks by TICK. Option `idleMs`. */
export const IDLE_MS = 30_000
/** Further silence after which it retreats. Option `silenceMs`. */
export const SILENCE_MS = 30_000
/** First pause after a retreat; it doubles with each. Option `backoffMs`. */
export const BACKOFF_MS = 60_000
/** How often the pause doubles at most. Option `maxBackoff`. */
export const MAX_BACKOFF = 7
/** Pause after a refusal (PART), and what is added at random: up to 255 steps. Options `partWaitMs`, `partStepMs`. */
export const PART_WAIT_MS = 5_000
export const PART_STEP_MS = 20
export const PART_STEPS = 256
/** How long a binder serves a connector that says nothing. Option `serveMs`. */
export const SERVE_MS = 90_000
/** Pause before a JOIN that found no route yet is sent again, and how often. */
export const REJOIN_MS = 20
export const MAX_REJOINS = 50
/** Pause before a connection is made again that ended by a breach of protocol: libzmq makes all others again itself. */
export const REDIAL_MS = 1_000
/** After a connection broke, how long what it brought is still read before calls on it end. */
export const LOST_GRACE_MS = 50

/** Patience of a call, and the least that is taken. Option `timeoutMs` of a call. */
export const CALL_TIMEOUT_MS = 2_000
export const MIN_CALL_TIMEOUT_MS = 200
/** How often an idempotent call is sent at most. Option `attempts` of a call. */
export const MAX_ATTEMPTS = 3
/** Own calls that wait for answers, and bytes of them; one more is `OVERLOADED`. Options `maxPendingCalls`, `maxPendingBytes`. */
export const MAX_PENDING_CALLS = 16_384
export const MAX_PENDING_BYTES: number = 64 * 1024 * 1024
/** Requests of peers that run at once, in all and for one peer; one more is answered with `OVERLOADED`. Options of the same names. */
export const MAX_REQUESTS = 4_096
export const MAX_REQUESTS_A_PEER = 1_024

/** Names that are served at once; one more is refused. Option `maxPeers`. */
export const MAX_PEERS = 1_024
/** Longest name, of a node and of a network: the former travels as ZMTP Identity. */
export const MAX_NAME_BYTES = 255
/** Messages of one turn of the loop that are sent together. */
export const BURST = 64

/** Longest message, in either direction; who sends a longer one is disconnected. Option `maxMessageBytes`. */
export const MAX_MESSAGE_BYTES: number = 16 * 1024 * 1024
/** Messages kept for one peer that does not read; one more is `OVERLOADED`. Option `sendHighWaterMark`. */
export const SEND_HIGH_WATER_MARK = 1_000
/** Bytes sent to a peer that has said nothing since; more is `OVERLOADED`. Option `maxUnheardBytes`. */
export const MAX_UNHEARD_BYTES: number = 64 * 1024 * 1024
/** Messages of one peer that were received and not yet taken. Option `receiveHighWaterMark`. */
export const RECEIVE_HIGH_WATER_MARK = 1_000

/** How long the last messages may take to leave after `close`. Option `lingerMs`. */
export const LINGER_MS = 50
/** How long `close` waits for requests that run. Option `drainMs`. */
export const DRAIN_MS = 1_000
