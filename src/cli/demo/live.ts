import { printable, type Output, type Style } from '../output.ts'
import type { Line, Tone } from './picture.ts'

const EVERY_MS = 100

const STYLES: Readonly<Record<Tone, Style>> = {
  plain: [],
  dim: 'dim',
  bold: 'bold',
  primary: 'yellow',
  secondary: 'cyan',
  killed: ['dim', 'red'],
  late: 'magenta',
  good: 'green',
  bad: 'red',
  accent: 'yellow',
}

/** Draws a picture on the terminal, each time over the last one. */
export class Live {
  readonly #out: Output
  #picture: (() => readonly Line[]) | undefined
  #timer: NodeJS.Timeout | undefined
  #height = 0

  constructor(out: Output) {
    this.#out = out
  }

  start(picture: () => readonly Line[]): void {
    this.#picture = picture
    // The cursor comes back however this process ends, short of SIGKILL.
    process.once('exit', this.#showCursor)
    void this.#out.write('\u001b[?25l')
    this.#timer = setInterval(() => this.#draw(), EVERY_MS)
    this.#draw()
  }

  /** The last picture stays. Idempotent. */
  stop(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#draw()
    process.off('exit', this.#showCursor)
    this.#showCursor()
  }

  readonly #showCursor = (): void => {
    void this.#out.write('\u001b[?25h')
  }

  #draw(): void {
    const lines = this.#picture?.() ?? []
    // A picture higher than the window would scroll, and could not be drawn over.
    const shown = lines.slice(0, Math.max(1, this.#out.rows - 1))
    const up = this.#height === 0 ? '' : `\u001b[${this.#height}A`
    this.#height = shown.length
    void this.#out.write(`${up}\r${shown.map((line) => `${this.#text(line)}\u001b[K\n`).join('')}\u001b[J`)
  }

  #text(line: Line): string {
    let room = this.#out.columns - 1
    let text = ''
    for (const { text: part, tone } of line) {
      const cut = printable(part).slice(0, Math.max(0, room))
      room -= cut.length
      text += cut === '' ? '' : this.#out.style(STYLES[tone], cut)
    }
    return text
  }
}
