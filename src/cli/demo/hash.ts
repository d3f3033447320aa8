import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { unreadable, type Hashed } from './protocol.ts'

const CHUNK_BYTES = 256 * 1024
const free: Buffer[] = []

/** The sha256 of a file's content, read in parts. A file that cannot be read gives its error code instead. */
export async function hashFile(path: string, signal: AbortSignal): Promise<Hashed> {
  const buffer = free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
  try {
    const file = await open(path, 'r')
    try {
      const hash = createHash('sha256')
      let size = 0
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES)
        if (bytesRead === 0) return { sha256: hash.digest('hex'), size }
        hash.update(bytesRead === CHUNK_BYTES ? buffer : buffer.subarray(0, bytesRead))
        size += bytesRead
        signal.throwIfAborted()
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (signal.aborted) throw error
    return { sha256: unreadable(error), size: 0 }
  } finally {
    free.push(buffer)
  }
}
