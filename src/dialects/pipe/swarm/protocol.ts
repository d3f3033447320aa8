import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { Buffer } from 'node:buffer'
import { goJson } from '../../shared/go-json.ts'
import { factToWire, type Fact } from './facts.ts'

/** As the existing peers number it. */
export const TRUST = { verified: 2, rejected: 3 } as const
export type Trust = keyof typeof TRUST

/** In `extensions` of handshake and acknowledgement: several payloads, and the other direction after them. */
export const BOTH_WAYS = 'conclave_both_v1'

/** `peer_` and 96 random bits. */
export function newPeerId(): string {
  return `peer_${randomBytes(12).toString('hex')}`
}

export function newNonce(): string {
  return randomBytes(16).toString('hex')
}

/** What only somebody who knows the secret can say about this conversation. */
export function proofOf(
  secret: string,
  side: 'dialer' | 'listener',
  dialerNonce: string,
  listenerNonce: string,
): string {
  return createHmac('sha256', secret).update(`${side}\n${dialerNonce}\n${listenerNonce}`).digest('hex')
}

export function sameProof(a: unknown, b: string): boolean {
  if (typeof a !== 'string' || a.length !== b.length) return false
  return timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

export interface Packed {
  /** At least one, maybe empty. */
  readonly parts: readonly (readonly Fact[])[]
  /** Do not fit any line. */
  readonly tooLarge: readonly Fact[]
}

/** Bytes of everything in a payload's line beside its facts, generously. */
const ENVELOPE_BYTES = 2048

/** As few lines as they fit in, in order. */
export function pack(facts: readonly Fact[], maxLineBytes: number): Packed {
  const room = maxLineBytes - ENVELOPE_BYTES
  const parts: Fact[][] = [[]]
  const tooLarge: Fact[] = []
  let left = room
  for (const fact of facts) {
    const bytes = Buffer.byteLength(goJson(factToWire(fact))) + 1
    if (bytes > room) {
      tooLarge.push(fact)
      continue
    }
    if (bytes > left) {
      parts.push([])
      left = room
    }
    parts.at(-1)?.push(fact)
    left -= bytes
  }
  return { parts, tooLarge }
}
