import { readText } from './text.ts'

interface Known {
  readonly bytes: Uint8Array
  readonly text: string
}

/** Names remembered; two that share a place replace each other. */
const PLACES = 64

/**
 * Names that come again and again, as topics do: their bytes are compared instead of decoded. A name that comes back is
 * the same string, which makes maps keyed by it fast.
 */
export class NameCache {
  readonly #places: (Known | undefined)[] = Array.from({ length: PLACES }, () => undefined)
  #last: Known | undefined
  readonly #admit: (name: string) => void

  /** @param admit sees each name that is not remembered; one that it throws at is not remembered either */
  constructor(admit: (name: string) => void = () => {}) {
    this.#admit = admit
  }

  /** @throws what `admit` throws */
  read(bytes: Uint8Array, start: number, end: number): string {
    if (this.#last !== undefined && isSame(this.#last.bytes, bytes, start, end)) return this.#last.text
    const place = placeOf(bytes, start, end)
    const known = this.#places[place]
    if (known !== undefined && isSame(known.bytes, bytes, start, end)) {
      this.#last = known
      return known.text
    }
    const text = readText(bytes, start, end)
    this.#admit(text)
    // Not `slice`: a Buffer's would be a view of what the next read overwrites.
    this.#last = this.#places[place] = { bytes: new Uint8Array(bytes.subarray(start, end)), text }
    return text
  }
}

function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
  return (hash ^ (hash >>> 15)) & (PLACES - 1)
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false
  return true
}
