import { untilOver } from './until-over.ts'

/** Ends what runs only while primary. */
export type StopWork = () => Promise<void>
export type StartWork = (term: number) => Promise<StopWork>

/** What a member does only while it is primary: started before it serves, ended before the next one may start. */
export class PrimaryWork {
  readonly #start: StartWork | undefined
  readonly #onError: (error: unknown) => void
  #running: Promise<StopWork | undefined> | undefined
  /** Ends that are under way: whoever asks later waits for them, too. */
  readonly #endings = new Set<Promise<void>>()

  constructor(start: StartWork | undefined, onError: (error: unknown) => void) {
    this.#start = start
    this.#onError = onError
  }

  /** @throws what the user's start throws */
  async start(term: number): Promise<void> {
    if (this.#start === undefined) return
    const started = this.#start(term)
    this.#running = started.catch(() => undefined)
    await started
  }

  get running(): boolean {
    return this.#running !== undefined || this.#endings.size > 0
  }

  /** Waits for a start that is under way, and for an end that is. A failure is told, never thrown. */
  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    if (running !== undefined) {
      const ending = this.#end(running)
      this.#endings.add(ending)
      void ending.then(() => this.#endings.delete(ending))
    }
    await Promise.all(this.#endings)
  }

  async #end(running: Promise<StopWork | undefined>): Promise<void> {
    try {
      const stop = await running
      await stop?.()
    } catch (error) {
      this.#onError(error)
    }
  }

  /** As `stop`, but no longer than until the time is up. */
  async stopWithin(isOver: () => boolean): Promise<void> {
    await untilOver(this.stop(), isOver)
  }
}
