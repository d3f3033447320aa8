export { CODES, codeOfNumber, isCode, type Code, type Outcome } from './codes.ts'
export { ConclaveError, asError, type ErrorDetails } from './error.ts'
export { errorFromWire, errorToWire, MAX_ERROR_MESSAGE, type ErrorOnWire } from './wire.ts'
