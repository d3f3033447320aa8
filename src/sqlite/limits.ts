/** Named bounds and times of the database room. Durations end in `Ms`, sizes in `Bytes`; docs/limits.md lists them. */

/** Writes that wait in the primary, of all members together; one more is refused with `OVERLOADED`. */
export const MAX_QUEUED_WRITES: number = 65_536
/** Bytes of SQL and parameters that they hold. */
export const MAX_QUEUED_BYTES: number = 64 * 1024 * 1024
/** Writes of one member that wait. */
export const MAX_MEMBER_WRITES: number = 16_384
/** Bytes of them. */
export const MAX_MEMBER_BYTES: number = 16 * 1024 * 1024

/** Writes of one member that travel in one request at most ... */
export const MAX_WRITES_SENT: number = 128
/** ... and about how many bytes of SQL and parameters; one write may exceed it. */
export const WRITES_SENT_BYTES: number = 48 * 1024

/** Writes that commit together at most. */
export const GROUP_WRITES: number = 512
/** Bytes of SQL and parameters that commit together at most; one write may exceed it. */
export const GROUP_BYTES: number = 1024 * 1024
/** Writes of one member in a row, while those of others wait for the same group. */
export const GROUP_TURN_WRITES: number = 8
/** How long a group waits at most for members that are quick to write again, after the last one was answered. */
export const GATHER_MS: number = 1
/** A group takes no further write once it has run this long, so that the loop that it shares is served (rule A11) ... */
export const GROUP_MS: number = 4
/** ... nor once it has run so many times as long as the last COMMIT took: longer groups would save little ... */
export const GROUP_COMMITS: number = 3
/** ... but for so long in any case. */
export const GROUP_LEAST_MS: number = 0.3

/** Groups that run each write in a savepoint after one failed that had none. */
export const CAREFUL_GROUPS: number = 64

/** Pauses between two attempts while another program holds the write lock of the file; the last one repeats. */
export const BUSY_PAUSES_MS: readonly number[] = [1, 1, 2, 2, 5, 5, 10, 10, 20, 50]
/** The write lock was held by another program for this long: it is reported. */
export const BUSY_REPORT_MS: number = 1000

/** Statements kept prepared on the writing connection. */
export const MAX_STATEMENTS: number = 256
/** Longest result of one write as JSON; a longer one is rolled back with `TOO_LARGE`. */
export const MAX_RESULT_BYTES: number = 1024 * 1024
/** Outcomes kept for one member above its watermark; further writes are refused until it acknowledges some. */
export const MAX_OUTCOME_BYTES: number = 4 * 1024 * 1024
/** Most statements in one `batch`. */
export const MAX_BATCH: number = 10_000

/** A member's numbers and outcomes are kept this long after its last link closed (rule A6). */
export const WRITER_KEPT_MS: number = 24 * 60 * 60 * 1000
/** Members whose numbers are kept; beyond it those that closed first go early. */
export const MAX_WRITERS: number = 10_000
/** A caller's own keys are kept this long ... */
export const KEY_KEPT_MS: number = 7 * 24 * 60 * 60 * 1000
/** ... and at most this many; the oldest go first. */
export const MAX_KEYS: number = 100_000
/** Longest key, in UTF-16 units. */
export const MAX_KEY_LENGTH: number = 256
/** How often the primary forgets what is too old. */
export const FORGET_MS: number = 60 * 60 * 1000

/** What an interactive transaction may hold the writer for, unless it asks for another time (rule B11) ... */
export const TRANSACTION_MS: number = 2000
/** ... and the longest it may ask for. */
export const MAX_TRANSACTION_MS: number = 30_000
/** How long a write waits for its answer unless told otherwise. */
export const WRITE_TIMEOUT_MS: number = 30_000
/** Longest patience of a write: an absolute deadline is what keeps an old copy from ever being started (rule A14). */
export const MAX_WRITE_TIMEOUT_MS: number = 60 * 60 * 1000
/** How long a write that was given up is asked after, in the background. */
export const OUTCOME_TIMEOUT_MS: number = 60_000
/** Outcomes of given-up writes that a member remembers for `outcome(key)`. */
export const MAX_REMEMBERED_OUTCOMES: number = 1024

/** Pages in the WAL after which the writing connection checkpoints (rule B10): 4 MiB. */
export const CHECKPOINT_PAGES: number = 1000
/** A WAL of this size is cut to nothing as soon as no reader needs it. */
export const WAL_TRUNCATE_BYTES: number = 16 * 1024 * 1024
/** A WAL of this size that cannot be cut is reported, with who holds it (rule B9). */
export const WAL_REPORT_BYTES: number = 64 * 1024 * 1024
/** Above it writes are refused with `OVERLOADED` (rule B9). */
export const WAL_MAX_BYTES: number = 1024 * 1024 * 1024
/** How often at most the size of the WAL is looked at. */
export const WAL_LOOK_MS: number = 10
/** Pause between two attempts to cut it. */
export const WAL_RETRY_MS: number = 1000

/** Iterators open at once in one process (rule B9). */
export const MAX_ITERATORS: number = 4
/** How long an iterator may hold its snapshot: then `READ_EXPIRED` (rule B9). */
export const ITERATOR_MS: number = 30_000
/** How long a local read waits, blocking, in the rare moments when SQLite needs the file alone (opening, recovery). */
export const READ_BUSY_MS: number = 1000

/** Keys that one change names; beyond it the change is of the whole table. */
export const MAX_CHANGED_KEYS: number = 100
/** Changes that one commit tells of; beyond it there is one `resync`. */
export const MAX_CHANGES: number = 64

/** How long opening waits for another program that has the file locked. */
export const OPEN_TIMEOUT_MS: number = 10_000
export const MAX_PROFILE_BYTES: number = 65_536

/** How often a watch looks at the file's version for writes that nobody told of. */
export const WATCH_LOOK_MS: number = 1000
