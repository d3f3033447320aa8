import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConclaveError } from '../../errors/index.ts'
import type { Member } from '../../index.ts'
import { IndexStore, type Result } from './index-store.ts'
import { INDEX_FILE, TOPIC, type Hashed, type Progress } from './protocol.ts'
import { walk } from './walk.ts'

/** Files on their way at once. */
const LANES = 24
const COMMIT_EVERY_MS = 20
const COMMIT_AT = 256
const WALK_COMMIT_AT = 2_000
const REPEAT_PROGRESS_MS = 200
const SERVE_FIRST_MS = 50
const CALL_TIMEOUT_MS = 600_000

/**
 * What the primary does: walks the tree once, hands out the files without a result and keeps what comes back. A new
 * primary opens the same database and goes on with what is missing there.
 */
export class Keeper {
  readonly #member: Member
  readonly #term: number
  readonly #tree: string
  #store!: IndexStore
  readonly #stop = new AbortController()
  #results: Result[] = []
  #missing: string[] = []
  /** When this reign began. */
  #found = 0
  #done = 0
  #total = 0
  #complete = false
  #timer: NodeJS.Timeout | undefined
  #work: Promise<void> | undefined

  constructor(member: Member, term: number, tree: string) {
    this.#member = member
    this.#term = term
    this.#tree = tree
  }

  /**
   * Works on its own until `stop()`; a failure of the database ends the process, as it should in a primary. It begins a
   * moment later: opening a database that its owner left by SIGKILL takes SQLite some 20 ms, and the others wait to be
   * answered.
   */
  start(): void {
    this.#work = this.#begin()
    this.#work.catch((error: unknown) => {
      process.nextTick(() => {
        throw error
      })
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#work?.catch(() => {})
  }

  async #begin(): Promise<void> {
    const { signal } = this.#stop
    await sleep(SERVE_FIRST_MS, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    this.#store = new IndexStore(join(this.#member.workspace, INDEX_FILE))
    try {
      await this.#run(signal)
    } finally {
      this.#commit()
      this.#store.close()
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.#found = this.#done = this.#store.done
    if (!this.#store.walked) await this.#walk()
    this.#total = this.#store.total
    const heartbeat = setInterval(() => this.#tell(), REPEAT_PROGRESS_MS)
    signal.addEventListener('abort', () => clearInterval(heartbeat))
    this.#tell()
    await Promise.all(Array.from({ length: LANES }, () => this.#lane()))
    if (signal.aborted) return
    this.#commit()
    this.#complete = true
    this.#tell()
    // It goes on saying so: somebody may join late.
    await sleep(2 ** 31 - 1, undefined, { signal }).catch(() => {})
  }

  async #walk(): Promise<void> {
    let paths: string[] = []
    for await (const files of walk(this.#tree, this.#stop.signal)) {
      for (const path of files) paths.push(path)
      if (paths.length < WALK_COMMIT_AT) continue
      this.#store.found(paths)
      paths = []
    }
    if (this.#stop.signal.aborted) return
    this.#store.found(paths)
    this.#store.walkEnded()
  }

  async #lane(): Promise<void> {
    for (let path = this.#next(); path !== undefined; path = this.#next()) {
      const result = await this.#hashed(path)
      if (result === undefined) return
      this.#results.push(result)
      if (this.#results.length >= COMMIT_AT) this.#commit()
      else this.#timer ??= setTimeout(() => this.#commit(), COMMIT_EVERY_MS)
    }
  }

  #next(): string | undefined {
    if (this.#stop.signal.aborted) return undefined
    if (this.#missing.length === 0) this.#missing = this.#store.nextMissing().reverse()
    return this.#missing.pop()
  }

  /** @returns `undefined` when this reign is over */
  async #hashed(path: string): Promise<Result | undefined> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const options = { to: 'any', idempotent: true, timeoutMs: CALL_TIMEOUT_MS, signal } as const
        const { worker, sha256, size } = (await this.#member.call('hash', path, options)) as Hashed & { worker: string }
        return { path, sha256, size, worker }
      } catch (error) {
        if (signal.aborted || ConclaveError.is(error, 'CLOSED', 'ABORTED')) return undefined
        // A worker died, or none has come yet: somebody else takes the file.
        await sleep(5, undefined, { signal }).catch(() => {})
      }
    }
    return undefined
  }

  #commit(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#results.length === 0) return
    const results = this.#results
    this.#results = []
    this.#store.commit(results, this.#term)
    this.#done += results.length
    this.#tell()
  }

  #tell(): void {
    const progress: Progress = {
      term: this.#term,
      done: this.#done,
      total: this.#total,
      found: this.#found,
      complete: this.#complete,
    }
    void this.#member.publish(TOPIC.progress, progress)
  }
}
