import { ConclaveError, asError } from '../../errors/index.ts'

/** Any thrown value as an error of ours. */
export function warning(error: unknown): ConclaveError {
  return ConclaveError.is(error) ? error : new ConclaveError('INTERNAL', asError(error).message, { cause: error })
}
