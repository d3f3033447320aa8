import { closeSync, openSync, writeSync } from 'node:fs'
import type { Line } from '../checkers/journal.ts'
import { now } from '../support/clock.ts'

type Untimed<L> = L extends unknown ? Omit<L, 't'> : never

/**
 * What this process did and saw, written before the next thing happens: with the kernel when `write` returns, so that
 * it survives the process however it ends.
 */
export class JournalFile {
  #fd: number | undefined

  open(path: string): void {
    this.close()
    this.#fd = openSync(path, 'a', 0o600)
  }

  write(line: Untimed<Line>): void {
    if (this.#fd !== undefined) writeSync(this.#fd, `${JSON.stringify({ ...line, t: now() })}\n`)
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}
