/*
 * Publishers outrun any hub, and each system then drops, blocks or grows in its own way. So that only what is delivered
 * counts, subscribers tell the publisher over a socket of the bench how far they are: one byte for so many messages.
 */
export const CREDIT_SOCKET = 'credit.sock'
export const CREDIT_EVERY = 256
/** Messages on their way to the slowest subscriber: enough that nobody waits for credit while others have the processor. */
export const WINDOW = 4096
