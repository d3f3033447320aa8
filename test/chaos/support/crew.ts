import { Worker, type WorkerOptions } from './worker.ts'

/** Processes that are ready to take part, kept from round to round and replaced as they are killed. */
export class Crew {
  readonly #options: WorkerOptions
  readonly #keep: number
  readonly #all = new Set<Worker>()
  #spare: Worker[] = []
  #ending = 0
  #closed = false

  /** Use `Crew.start`. */
  constructor(keep: number, options: WorkerOptions) {
    this.#keep = keep
    this.#options = options
  }

  /** @param keep how many stand ready between rounds */
  static async start(keep: number, options: WorkerOptions = {}): Promise<Crew> {
    const crew = new Crew(keep, options)
    if (keep === 0) return crew
    const first = crew.#start()
    crew.#spare.push(first)
    // The others load what it has compiled.
    await first.ready
    crew.#fill()
    return crew
  }

  /** Those that were ready first. They are the caller's until `give`n back. */
  async take(count: number): Promise<Worker[]> {
    const taken: Worker[] = []
    while (taken.length < count) {
      this.#spare = this.#spare.filter((worker) => worker.alive)
      const worker = this.#spare.shift() ?? this.#start()
      await worker.ready
      if (worker.alive) taken.push(worker)
    }
    this.#fill()
    return taken
  }

  /** Processes that were never used, started now, beside those that are kept. */
  async fresh(count: number): Promise<Worker[]> {
    const started = Array.from({ length: count }, () => this.#start())
    await Promise.all(started.map(({ ready }) => ready))
    return started
  }

  give(workers: readonly Worker[]): void {
    for (const worker of workers) {
      if (!worker.alive || worker.death !== undefined) continue
      if (this.#all.size - this.#ending <= this.#keep) {
        worker.name = 'spare'
        this.#spare.push(worker)
      } else void this.#end(worker)
    }
    this.#fill()
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#all].map((worker) => this.#end(worker)))
  }

  /** Those that take part come back, so only the dead are replaced. */
  #fill(): void {
    while (!this.#closed && this.#all.size < this.#keep) this.#spare.push(this.#start())
  }

  #start(): Worker {
    const worker = new Worker(this.#options)
    this.#all.add(worker)
    void worker.exit.then(() => {
      this.#all.delete(worker)
      this.#fill()
    })
    return worker
  }

  async #end(worker: Worker): Promise<void> {
    this.#ending++
    await worker.kill('SIGKILL')
    this.#ending--
  }
}
