import { Buffer } from 'node:buffer'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConclaveError } from '../../errors/index.ts'
import { MAX_NAME_BYTES } from './limits.ts'

/** The two pipes of the existing system: ingest to correlate, correlate to respond. */
export const INGEST_TO_CORRELATE = 'soc-ingest-to-correlate'
export const CORRELATE_TO_RESPOND = 'soc-correlate-to-respond'

/** Where the existing system has its sockets. It must be ours: checked before each use. */
export function pipeDirectory(): string {
  return join(tmpdir(), 'sentinel-soc')
}

/** @throws `INVALID_OPTION` */
export function pipePath(name: string, directory: string = pipeDirectory()): string {
  // oxlint-disable-next-line no-control-regex
  const bad = name === '' || name.startsWith('.') || /[/\\\u0000-\u001f]/.test(name)
  if (bad || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    const text = `"${name}" cannot be the name of a pipe: 1 to ${MAX_NAME_BYTES} bytes, no leading dot, no slash.`
    throw new ConclaveError('INVALID_OPTION', text)
  }
  return join(directory, `${name}.sock`)
}
