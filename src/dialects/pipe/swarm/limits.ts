/** Limits and times of the swarm, each with the default of the existing system where it has one. docs/dialects.md lists them. */

/** A whole conversation. Option `timeoutMs`. */
export const SYNC_TIMEOUT_MS = 5000
/** One dial. Option `dialTimeoutMs`. */
export const SWARM_DIAL_TIMEOUT_MS = 2000
/** Longest line between peers of ours. Option `maxLineBytes`. */
export const MAX_SWARM_LINE_BYTES: number = 1024 * 1024
/** Longest line an existing listener reads is just under 64 KiB: more facts go in several conversations. */
export const EXISTING_LINE_BYTES: number = 60 * 1024
/** Conversations at once; more are closed. Option `maxConnections`. */
export const MAX_SWARM_CONNECTIONS = 32
/** Facts a `MemoryFactStore` holds; further ones are not taken. Option `maxFacts`. */
export const MAX_FACTS = 100_000
/** Peers remembered; past it the one heard of longest ago is forgotten. */
export const MAX_SWARM_PEERS = 256
/** The hash that the existing build has as a constant. Option `genomeHash`. */
export const GENOME_HASH = '11906548e3bc628ace96ca9efb76f447d0616310b335e90b74b8dde489a32af5'
