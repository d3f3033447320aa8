import { signalCode } from './exit.ts'

const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Ctrl-C and its relatives: the first asks the verb to clean up and end, a second one ends at once. */
export class Signals {
  readonly #end: (signal: NodeJS.Signals) => void
  readonly #taken = new Map<NodeJS.Signals, (signal: NodeJS.Signals) => void>()
  #asked = false

  constructor(end: (signal: NodeJS.Signals) => void) {
    this.#end = end
    for (const signal of ENDING) process.on(signal, this.#on)
  }

  give(signals: readonly NodeJS.Signals[], take: (signal: NodeJS.Signals) => void): void {
    for (const signal of signals) {
      if (!ENDING.includes(signal) && !this.#taken.has(signal)) process.on(signal, this.#on)
      this.#taken.set(signal, take)
    }
  }

  /** While `work` holds up the loop no handler could run: signals end the process, as they end any. */
  leaveToKernel<T>(work: () => T): T {
    const ours = ENDING.filter((signal) => !this.#taken.has(signal))
    for (const signal of ours) process.off(signal, this.#on)
    try {
      return work()
    } finally {
      for (const signal of ours) process.on(signal, this.#on)
    }
  }

  readonly #on = (signal: NodeJS.Signals): void => {
    const take = this.#taken.get(signal)
    if (take !== undefined) take(signal)
    else if (this.#asked) process.exit(signalCode(signal))
    else {
      this.#asked = true
      this.#end(signal)
    }
  }
}
