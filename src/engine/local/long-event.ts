import type { Frame } from '../../wire/frame.ts'
import { MAX_FRAGMENT_BYTES } from '../../wire/limits.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { Port } from './port.ts'

/**
 * Sends an event whose body stays where it is, a fragment at a time: however many links it is on its way to, the body is
 * here once (rule B17).
 * @param frame its bytes are not written to as long as it is on its way
 */
export function sendFromPlace(port: Port, frame: Frame): OutgoingTransfer | undefined {
  if (port.closed) return undefined
  const { bytes, bodyStart, bodyEnd } = frame
  const transfer = port.open(frame)
  transfer.total = bodyEnd - bodyStart
  let at = bodyStart
  const next = (): void => {
    if (at === bodyEnd || transfer.ended) return
    const from = at
    at = Math.min(bodyEnd, from + MAX_FRAGMENT_BYTES)
    transfer.push(bytes.subarray(from, at), at === bodyEnd)
  }
  transfer.onTaken = next
  next()
  return transfer
}
