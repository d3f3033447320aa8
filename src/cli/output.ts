import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** A stream of ours: colours only where they are seen, and a reader that has gone away is no error (`| head`). */
export class Output {
  readonly #stream: NodeJS.WriteStream
  readonly #onBroken: (error: NodeJS.ErrnoException) => void
  readonly terminal: boolean
  readonly colours: boolean
  #broken = false

  /** @param onBroken nobody reads any more, or the disk is full */
  constructor(stream: NodeJS.WriteStream, onBroken: (error: NodeJS.ErrnoException) => void) {
    this.#stream = stream
    this.#onBroken = onBroken
    this.terminal = stream.isTTY === true
    this.colours = wantsColours(process.env, this.terminal)
    stream.on('error', this.#fail)
  }

  get broken(): boolean {
    return this.#broken
  }

  /** A terminal that does not know its size says 0. */
  get columns(): number {
    return this.#stream.columns || 80
  }

  get rows(): number {
    return this.#stream.rows || 24
  }

  style(format: Style, text: string): string {
    return this.colours ? styleText(format, text, { validateStream: false }) : text
  }

  /** Resolves when the stream takes more. Never rejects. */
  async write(text: string): Promise<void> {
    if (this.#broken || this.#stream.write(text)) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done)
        this.#stream.off('error', done)
        this.#stream.off('close', done)
        resolve()
      }
      this.#stream.on('drain', done)
      this.#stream.on('error', done)
      this.#stream.on('close', done)
    })
  }

  line(text = ''): Promise<void> {
    return this.write(`${text}\n`)
  }

  json(value: unknown): Promise<void> {
    return this.line(printable(JSON.stringify(value) ?? 'null'))
  }

  /** Resolves when everything is written, or nobody reads it. */
  async flush(): Promise<void> {
    if (this.#broken) return
    await new Promise<void>((resolve) => {
      this.#stream.once('error', () => resolve())
      this.#stream.write('', () => resolve())
    })
  }

  readonly #fail = (error: NodeJS.ErrnoException): void => {
    if (this.#broken) return
    this.#broken = true
    this.#onBroken(error)
  }
}

/** FORCE_COLOR decides, then NO_COLOR (no-color.org, empty is not set), then whether somebody sees them. */
export function wantsColours(env: NodeJS.ProcessEnv, terminal: boolean): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: kind } = env
  if (force) return force !== '0' && force !== 'false'
  return terminal && !no && kind !== 'dumb'
}

/** Text from elsewhere, fit for a terminal: nothing in it moves the cursor or rings. JSON stays JSON of the same value. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (sign) =>
    // JSON escapes only the first 32.
    sign < ' ' ? JSON.stringify(sign).slice(1, -1) : `\\u00${sign.charCodeAt(0).toString(16)}`,
  )
}
