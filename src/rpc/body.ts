import { ConclaveError } from '../errors/index.ts'
import { FLAG, type Frame } from '../wire/frame.ts'

/** A value as it travels: JSON text, bytes as they are, or nothing for `undefined`. */
export type Body = string | Uint8Array | undefined

/**
 * @param what names the value in the error
 * @param code whose fault it is: the caller's, or the handler's
 * @throws that code for what JSON can't hold: a cycle, a bigint, a function
 */
export function encodeBody(
  value: unknown,
  what: string,
  code: 'INVALID_PARAMS' | 'INVALID_RESULT' = 'INVALID_PARAMS',
): Body {
  if (value === undefined) return undefined
  if (value instanceof Uint8Array) return value
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)
    throw new ConclaveError(code, `${what} can't be sent as JSON: ${why}`, { cause })
  }
  if (text === undefined) {
    throw new ConclaveError(code, `${what} can't be sent as JSON: it is a ${typeof value}.`)
  }
  return text
}

/**
 * As `encodeBody`, of an event, which few await: it may wait here and be sent more than once, and an array of bytes is its
 * maker's, who may go on writing to it.
 */
export function takeBody(value: unknown, what: string): Body {
  return value instanceof Uint8Array ? new Uint8Array(value) : encodeBody(value, what)
}

/** @throws `PROTOCOL` when the text is not JSON */
export function decodeBody(frame: Frame): unknown {
  if ((frame.flags & FLAG.RAW) !== 0) return frame.takeBody()
  if (!frame.hasBody) return undefined
  const text = frame.text
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Without the cause: its message quotes the body, which may be a secret.
    throw new ConclaveError('PROTOCOL', `The body of ${frame.name || 'an answer'} is not JSON: its sender is at fault.`)
  }
}

export function putBody(frame: Frame, body: Body): Frame {
  return body === undefined ? frame : frame.withBody(body)
}

export function sizeOf(body: Body): number {
  return body === undefined ? 0 : body.length
}
