import type { Engine } from '../engine/engine.ts'
import { TO_ANY, TO_DEFAULT, TO_PRIMARY, type Target } from '../rpc/address.ts'
import type { Contract, MethodSpec } from '../rpc/contract.ts'
import { ConclaveError } from '../errors/index.ts'
import type { To, ToMany } from '../rpc/types.ts'
import { TARGET } from '../wire/frame.ts'

/** What the requests of a handler inherit from the call it serves. They are part of it: a closing member still makes them. */
export interface Scope {
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly deadline: number
  readonly signal?: (() => AbortSignal) | undefined
  readonly traceparent: string | undefined
  /** Of a handler: what it serves. */
  readonly run?: { readonly over: boolean } | undefined
}

/** Of what runs only while primary: nothing is inherited, but what it begins with its end is still made. */
export const DUTY: Scope = { deadline: Infinity, traceparent: undefined }

export function specOf(contract: Contract | undefined, method: string): MethodSpec | undefined {
  const methods = contract?.methods
  return methods !== undefined && Object.hasOwn(methods, method) ? methods[method] : undefined
}

/** @throws `INVALID_OPTION` */
export function targetOf(to: To | undefined): Target {
  if (to === undefined) return TO_DEFAULT
  if (to === 'primary') return TO_PRIMARY
  if (to === 'any') return TO_ANY
  if (typeof to === 'object' && to !== null) {
    if ('id' in to && isName(to.id)) return { mode: TARGET.ID, text: to.id }
    if ('name' in to && isName(to.name)) return { mode: TARGET.NAME, text: to.name }
  }
  throw new ConclaveError('INVALID_OPTION', 'to must be "primary", "any", { id } or { name }.')
}

/** @throws `INVALID_OPTION` */
export function manyOf(to: ToMany | undefined): ToMany | undefined {
  if (to === undefined || to === 'all' || to === 'others') return to
  if (typeof to === 'object' && to !== null) {
    if ('name' in to && isName(to.name)) return to
    if ('ids' in to && Array.isArray(to.ids) && to.ids.every(isName)) return { ids: [...new Set(to.ids)] }
  }
  throw new ConclaveError('INVALID_OPTION', 'to must be "all", "others", { name } or { ids }.')
}

/** @throws `INVALID_OPTION` */
export function checkTimeout(timeoutMs: number): void {
  if (typeof timeoutMs === 'number' && timeoutMs >= 0) return
  throw new ConclaveError('INVALID_OPTION', 'timeoutMs must be a number of at least 0.')
}

/** The earlier of one's own patience and that of the call one serves. */
export function deadlineOf(engine: Engine, timeoutMs: number, scope: Scope | undefined): number {
  checkTimeout(timeoutMs)
  return Math.min(engine.now() + timeoutMs, scope?.deadline ?? Infinity)
}

export function signalOf(signal: AbortSignal | undefined, scope: Scope | undefined): AbortSignal | undefined {
  if (scope?.signal === undefined) return signal
  return signal === undefined ? scope.signal() : AbortSignal.any([signal, scope.signal()])
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}
