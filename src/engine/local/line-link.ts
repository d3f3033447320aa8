import { ConclaveError, asError } from '../../errors/index.ts'
import { randomBytes } from '../../platform/random.ts'
import { CALL_TIMEOUT_MS } from '../../rpc/limits.ts'
import type { Connection } from '../../transport/transport.ts'
import { rpcFailure } from '../../wire/jsonrpc.ts'
import { LineReader, encodeLine } from '../../wire/lines.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { BatchPool } from '../../wire/writer.ts'
import type { FlushScheduler } from './flush.ts'
import type { Hub } from './hub.ts'
import { LinePort, type LinePatience } from './line-port.ts'
import { LINE_LINGER_MS, MAX_LINE_BYTES } from './limits.ts'

/** Whether a link that begins with this byte is one of JSON lines: `{`, `[` or white space (rule B19). */
export function isLineByte(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b || byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

const PATIENCE: LinePatience = { callMs: CALL_TIMEOUT_MS, lingerMs: LINE_LINGER_MS }

/** Takes a connection in whose first byte was that of a line. */
export function acceptLines(
  hub: Hub,
  connection: Connection,
  pool: BatchPool,
  flush: FlushScheduler,
  patience: LinePatience = PATIENCE,
): void {
  const { pid } = connection.peer
  const ref: MemberRef = { id: randomBytes(16).toString('base64url'), name: 'json-lines', pid }
  let port: LinePort
  try {
    port = hub.admitGuest(
      (slot, session) => new LinePort(slot, ref, session, hub, connection, pool, flush, patience),
      ref.id,
    ) as LinePort
  } catch (error) {
    hub.counters.refused++
    const line = new TextEncoder().encode(encodeLine(rpcFailure(null, error)))
    connection.write(line, 0, line.length)
    connection.handlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
    connection.close()
    return
  }
  const reader = new LineReader({
    maxLineBytes: MAX_LINE_BYTES,
    onLine: (text) => port.line(text),
    onTooLong: (bytes) => {
      const text = `A line of at least ${bytes} bytes was skipped; the limit is ${MAX_LINE_BYTES}.`
      port.refuse(new ConclaveError('TOO_LARGE', text))
    },
    onInvalid: () => port.refuse(new ConclaveError('PROTOCOL', 'A line that is not UTF-8 was skipped.')),
  })
  connection.handlers = {
    onData: (bytes, start, end) => {
      try {
        reader.push(bytes, start, end)
      } catch (error) {
        port.refuse(new ConclaveError('INTERNAL', asError(error).message, { cause: error }))
        port.end()
      }
    },
    onEnd: () => {
      if (reader.end()) port.refuse(new ConclaveError('PROTOCOL', 'The last line has no end: it was not taken.'))
      port.halfClosed()
    },
    onDrain: () => hub.writable(port),
    onClose: () => {
      port.gone()
      hub.remove(port, 'closed')
    },
  }
}
