import { randomBytes } from '../platform/random.ts'
import { INSTANCE_BYTES } from './limits.ts'

const FORM = /^[A-Za-z0-9_-]{22}$/

/** A member id: 128 random bits, 22 characters of base64url. One per join, never reused. */
export function newInstance(): string {
  return randomBytes(INSTANCE_BYTES).toString('base64url')
}

export function isInstance(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}
