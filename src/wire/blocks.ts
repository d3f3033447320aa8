import { BLOCK_BYTES, IDLE_BLOCKS, POOLED_BLOCKS } from './limits.ts'
import { bareBytes } from './text.ts'

/**
 * Memory for fragments of long bodies on their way out. A new array for each would make the collector go over the whole
 * heap after every few dozen bodies, because it counts what lies beside the heap too.
 */
export class BlockPool {
  readonly #free: Uint8Array[] = []
  #lent = 0

  take(): Uint8Array {
    this.#lent++
    return this.#free.pop() ?? bareBytes(BLOCK_BYTES)
  }

  give(block: Uint8Array): void {
    this.#lent--
    if (this.#free.length < POOLED_BLOCKS) this.#free.push(block)
    // Nothing is under way: what a burst needed is let go.
    if (this.#lent === 0 && this.#free.length > IDLE_BLOCKS) this.#free.length = IDLE_BLOCKS
  }
}
