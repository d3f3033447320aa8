import { ConclaveError } from '../errors/index.ts'

/** Longest line, in bytes without its end (rule B19). */
export const MAX_LINE_BYTES: number = 1024 * 1024

// Of the web platform: this room compiles without the types of Node.
declare const TextDecoder: new (
  label: string,
  options: { readonly fatal: boolean; readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string }

const LF = 0x0a
const CR = 0x0d
const SMALLEST = 256
/** A longer buffer is let go once its line is out. */
const KEPT_BUFFER_BYTES = 64 * 1024

export interface LineReaderOptions {
  /** Bytes of the longest line, its end not counted. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined
  /** Takes one line without its end. An empty line comes too. */
  readonly onLine: (text: string) => void
  /** A line is longer, by what came of it so far: told once; it is skipped up to its LF and reading goes on. */
  readonly onTooLong: (bytes: number) => void
  /** A line was not UTF-8; it is skipped. */
  readonly onInvalid: () => void
  /** After a line that was too long or not UTF-8 nothing more is read. Default false. */
  readonly fatal?: boolean | undefined
}

/**
 * Bytes in, lines out. A line ends with LF; a CR before it belongs to the end. Of what came it keeps one unfinished line,
 * never more than `maxLineBytes`, in a buffer of its own: chunks may be overwritten after `push`.
 */
export class LineReader {
  readonly #options: LineReaderOptions
  readonly #maxLineBytes: number
  // Replacing what is not UTF-8 would hand on text that nobody sent. A byte order mark is part of the text.
  readonly #decoder: { decode(bytes: Uint8Array): string } = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #rest = new Uint8Array(0)
  #length = 0
  #skipping = false
  #ended = false

  constructor(options: LineReaderOptions) {
    this.#options = options
    this.#maxLineBytes = options.maxLineBytes ?? MAX_LINE_BYTES
  }

  /** Bytes of the unfinished line that are held. */
  get pendingBytes(): number {
    return this.#length
  }

  /** Nothing more is read: `end` or a fatal line. */
  get ended(): boolean {
    return this.#ended
  }

  push(bytes: Uint8Array, start: number = 0, end: number = bytes.length): void {
    // A search must not run on into what an earlier read left behind.
    const chunk = end === bytes.length ? bytes : bytes.subarray(0, end)
    let from = start
    while (from < end && !this.#ended) {
      const at = chunk.indexOf(LF, from)
      if (at < 0) {
        this.#keep(chunk, from, end)
        return
      }
      this.#finish(chunk, from, at)
      from = at + 1
    }
  }

  /** The stream is over. @returns whether an unfinished line was lost with it */
  end(): boolean {
    const lost = !this.#ended && (this.#length > 0 || this.#skipping)
    this.#stop()
    return lost
  }

  #finish(bytes: Uint8Array, from: number, lf: number): void {
    if (this.#skipping) {
      this.#skipping = false
      return
    }
    if (this.#length === 0) {
      this.#emit(bytes, from, bytes[lf - 1] === CR && lf > from ? lf - 1 : lf)
      return
    }
    this.#keep(bytes, from, lf)
    if (this.#skipping || this.#ended) {
      this.#skipping = false
      return
    }
    const length = this.#rest[this.#length - 1] === CR ? this.#length - 1 : this.#length
    this.#length = 0
    this.#emit(this.#rest, 0, length)
    // One long line must not leave its buffer behind for the life of the link.
    if (this.#length === 0 && this.#rest.length > KEPT_BUFFER_BYTES) this.#rest = new Uint8Array(0)
  }

  #emit(bytes: Uint8Array, from: number, to: number): void {
    if (to - from > this.#maxLineBytes) {
      this.#tooLong(to - from)
      this.#skipping = false
      return
    }
    let text: string
    try {
      text = this.#decoder.decode(bytes.subarray(from, to))
    } catch {
      if (this.#options.fatal === true) this.#stop()
      this.#options.onInvalid()
      return
    }
    this.#options.onLine(text)
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    if (this.#skipping) return
    const length = this.#length + to - from
    // One byte more than a line may have: it can be the CR of its end.
    const last = to > from ? bytes[to - 1] : this.#rest[this.#length - 1]
    if (length > this.#maxLineBytes + (last === CR ? 1 : 0)) {
      this.#length = 0
      this.#rest = new Uint8Array(0)
      this.#tooLong(length)
      return
    }
    if (length > this.#rest.length) {
      const grown = new Uint8Array(Math.min(this.#maxLineBytes + 1, Math.max(SMALLEST, length, this.#rest.length * 2)))
      grown.set(this.#rest.subarray(0, this.#length))
      this.#rest = grown
    }
    this.#rest.set(bytes.subarray(from, to), this.#length)
    this.#length = length
  }

  #tooLong(bytes: number): void {
    this.#skipping = true
    if (this.#options.fatal === true) this.#stop()
    this.#options.onTooLong(bytes)
  }

  #stop(): void {
    this.#ended = true
    this.#skipping = false
    this.#length = 0
    this.#rest = new Uint8Array(0)
  }
}

/** One line with its LF. @throws `INVALID_REQUEST` for a value that JSON cannot hold */
export function encodeLine(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new ConclaveError('INVALID_REQUEST', `The value cannot be written as JSON: ${String(cause)}.`, { cause })
  }
  if (text === undefined) throw new ConclaveError('INVALID_REQUEST', `A ${typeof value} cannot be written as JSON.`)
  return `${text}\n`
}
