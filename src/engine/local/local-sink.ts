import { ConclaveError } from '../../errors/index.ts'
import type { FrameSink } from '../../rpc/caller.ts'
import { MAX_BODY_BYTES } from '../../wire/limits.ts'
import type { Hub } from './hub.ts'
import type { LocalPort } from './local-port.ts'

/** The link of the primary's own member: frames go to the switchboard by a call. The limits of a socket hold here too. */
export function localSink(hub: Hub, port: LocalPort, maxBodyBytes: number = MAX_BODY_BYTES): FrameSink {
  return {
    send(frame) {
      const bytes = frame.bodyBytes()
      if (bytes > maxBodyBytes) {
        const text = `A body of ${bytes} bytes exceeds the limit of ${maxBodyBytes}; send it in parts, or as a stream.`
        throw new ConclaveError('TOO_LARGE', text)
      }
      hub.receive(port, frame)
      return undefined
    },
  }
}
