import { Buffer } from 'node:buffer'
import { ConclaveError } from '../../errors/index.ts'
import { goLine } from '../shared/go-json.ts'

/** One line as the existing peers write it. @throws `FRAME_TOO_LARGE`, `INVALID_REQUEST` */
export function frameOf(value: unknown, maxBytes: number): string {
  const line = goLine(value)
  if (line.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(line)
    if (bytes > maxBytes) throw tooLarge(bytes, maxBytes, 'nothing was sent')
  }
  return line
}

export function tooLarge(bytes: number, maxBytes: number, what: string): ConclaveError {
  const text = `A line of at least ${bytes} bytes exceeds the limit of ${maxBytes}: ${what}.`
  return new ConclaveError('FRAME_TOO_LARGE', text, { data: { bytes, limit: maxBytes } })
}
