import { TARGET, type Frame } from '../wire/frame.ts'

/** Whom a call is for, as it travels. */
export interface Target {
  /** One of `TARGET`. */
  readonly mode: number
  /** With `TARGET.SLOT`. */
  readonly slot?: number | undefined
  /** With `TARGET.ID` and `TARGET.NAME`. */
  readonly text?: string | undefined
}

export const TO_DEFAULT: Target = { mode: TARGET.DEFAULT }
export const TO_PRIMARY: Target = { mode: TARGET.PRIMARY }
export const TO_ANY: Target = { mode: TARGET.ANY }

/** The name field of a REQUEST: the method, and behind a NUL each, when there is one, target and traceparent. */
export interface RequestName {
  readonly method: string
  readonly target: string
  readonly traceparent: string | undefined
}

export function joinName(method: string, target: string | undefined, traceparent: string | undefined): string {
  if (traceparent !== undefined) return `${method}\0${target ?? ''}\0${traceparent}`
  return target === undefined ? method : `${method}\0${target}`
}

export function splitName(frame: Frame): RequestName {
  const name = frame.name
  if (!name.includes('\0')) return { method: name, target: '', traceparent: undefined }
  const [method = '', target = '', traceparent] = name.split('\0', 3)
  return { method, target, traceparent: traceparent || undefined }
}
