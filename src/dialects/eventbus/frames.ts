import { ConclaveError } from '../../errors/index.ts'
import { LineReader } from '../../wire/lines.ts'
import { decodeMessage, frameTooLarge } from './codec.ts'
import { MAX_FRAME_BYTES } from './limits.ts'
import type { BusMessage } from './messages.ts'

export interface ReadFramesOptions {
  /** Default 1 MiB. */
  readonly maxFrameBytes?: number | undefined
  /** A frame that is too long, or no message: it is skipped. Without this it ends the reading by throwing. */
  readonly onSkipped?: ((error: Error) => void) | undefined
}

/** The messages of a byte stream (a socket, a file). Unknown types are left out. @throws `FRAME_TOO_LARGE`, `PROTOCOL` */
export async function* readFrames(
  source: AsyncIterable<Uint8Array>,
  { maxFrameBytes = MAX_FRAME_BYTES, onSkipped }: ReadFramesOptions = {},
): AsyncGenerator<BusMessage, void, undefined> {
  const found: (BusMessage | Error)[] = []
  const reader = new LineReader({
    maxLineBytes: maxFrameBytes,
    onLine: (text) => {
      try {
        const message = decodeMessage(text)
        if (message !== undefined) found.push(message)
      } catch (error) {
        found.push(error as Error)
      }
    },
    onTooLong: (bytes) => found.push(frameTooLarge(bytes, maxFrameBytes)),
    onInvalid: () => found.push(new ConclaveError('PROTOCOL', 'A line is not UTF-8.')),
  })
  for await (const chunk of source) {
    reader.push(chunk)
    for (const one of found.splice(0)) {
      if (!(one instanceof Error)) yield one
      else if (onSkipped === undefined) throw one
      else onSkipped(one)
    }
  }
}
