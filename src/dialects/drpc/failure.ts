import { ConclaveError, type Code } from '../../errors/index.ts'
import { Status, statusName } from './status.ts'

/** On errors that a handler throws to choose its status. An error of a call that the handler itself made has none. */
const STATUS = Symbol.for('conclave.drpc.status')

const CODE_OF: ReadonlyMap<number, Code> = new Map<number, Code>([
  [Status.UNKNOWN_MODULE, 'METHOD_NOT_FOUND'],
  [Status.UNKNOWN_METHOD, 'METHOD_NOT_FOUND'],
  [Status.FAILED_UNMARSHAL_CALL, 'PROTOCOL'],
  [Status.FAILED_UNMARSHAL_PAYLOAD, 'INVALID_PARAMS'],
  [Status.FAILED_MARSHAL, 'INVALID_RESULT'],
])

const TEXT: ReadonlyMap<number, string> = new Map<number, string>([
  [Status.SUCCESS, 'The call succeeded.'],
  [Status.SUBMITTED, 'The call was taken and is not done yet.'],
  [Status.FAILURE, 'The handler failed.'],
  [Status.UNKNOWN_MODULE, 'There is no such module.'],
  [Status.UNKNOWN_METHOD, 'The module has no such method.'],
  [Status.FAILED_UNMARSHAL_CALL, 'The call could not be decoded.'],
  [Status.FAILED_UNMARSHAL_PAYLOAD, 'The body of the call could not be decoded.'],
  [Status.FAILED_MARSHAL, 'The answer could not be encoded.'],
])

/**
 * An error with a status of its own: what a handler throws to answer with it. The text stays at home: only the number
 * travels.
 * @throws `INVALID_OPTION` for a number that is no int32: none other can travel
 */
export function newFailure(status: Status, message: string = textOf(status)): ConclaveError {
  if ((status | 0) !== status) {
    throw new ConclaveError('INVALID_OPTION', `Status ${String(status)} must be a 32-bit integer.`)
  }
  const error = statusError(status, message)
  Object.defineProperty(error, STATUS, { value: status })
  return error
}

/** Status FAILURE, with a text for the log of this side. */
export const newFailureWithMessage = (message: string): ConclaveError => newFailure(Status.FAILURE, message)
export const unknownModule = (): ConclaveError => newFailure(Status.UNKNOWN_MODULE)
export const unknownMethod = (): ConclaveError => newFailure(Status.UNKNOWN_METHOD)
export const unmarshalingCall = (): ConclaveError => newFailure(Status.FAILED_UNMARSHAL_CALL)
export const unmarshalingPayload = (): ConclaveError => newFailure(Status.FAILED_UNMARSHAL_PAYLOAD)
export const marshaling = (): ConclaveError => newFailure(Status.FAILED_MARSHAL)

/** The status that travels for what a handler threw: that of a failure, FAILURE for all else, SUCCESS for `undefined`. */
export function errorToStatus(error: unknown): Status {
  if (error === undefined) return Status.SUCCESS
  return isFailure(error) ? (error as unknown as { readonly [STATUS]: Status })[STATUS] : Status.FAILURE
}

/** Made by `newFailure` and its relatives, in whichever copy of the package. */
export function isFailure(error: unknown): error is ConclaveError {
  return ConclaveError.is(error) && STATUS in error
}

/** What a caller gets for an answer without success. `reason` is the name of the status, `data.status` its number. */
export function statusError(status: Status, message: string): ConclaveError {
  return new ConclaveError(CODE_OF.get(status) ?? 'FAILED', message, {
    reason: statusName(status),
    data: { status },
  })
}

export function textOf(status: Status): string {
  return TEXT.get(status) ?? `The call ended with status ${status}.`
}
