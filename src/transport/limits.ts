/** What a Linux kernel keeps for a Unix stream socket unless told otherwise (net.core.wmem_default); memory does the same. */
export const KERNEL_BUFFER_BYTES = 212_992

/** Kept bytes are gathered in pieces of at least this size. */
export const KEPT_PIECE_BYTES = 16_384
/** ... or of this one, for what does not fit it: the rest of a long body's fragment. */
export const KEPT_LONG_PIECE_BYTES = 98_304
/** Long pieces kept for reuse by all connections. */
export const SPARE_PIECES = 8

/** How long accepting pauses after a failed accept (out of descriptors): the waiting connection would wake us at once. */
export const ACCEPT_PAUSE_MS = 100

/** How long a connection is still read after a failed write, when its peer neither sends nor ends (rule A8). */
export const LAST_WORDS_MS = 1000

/** Largest packet of a packet transport, as in native/seqpacket.c. */
export const MAX_PACKET_BYTES = 131_072

/** Who may open a packet socket unless told otherwise: its owner. */
export const SOCKET_MODE = 0o600
