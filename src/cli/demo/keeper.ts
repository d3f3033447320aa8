import { setTimeout as sleep } from 'node:timers/promises'
import { ConclaveError } from '../../errors/index.ts'
import type { Member } from '../../index.ts'
import type { Committed, Result } from './index-database.ts'
import { TOPIC, type Hashed, type Progress } from './protocol.ts'
import { walk } from './walk.ts'

/** Files on their way at once. */
const LANES = 24
const COMMIT_EVERY_MS = 20
const COMMIT_AT = 256
const WALK_COMMIT_AT = 2_000
const PAGE = 512
const REPEAT_PROGRESS_MS = 200
const SERVE_FIRST_MS = 50
const CALL_TIMEOUT_MS = 600_000

/** The procedures of index-database.ts, as a caller sees them. */
interface Writes {
  found(paths: readonly string[]): Promise<void>
  walkEnded(): Promise<void>
  commit(committed: Committed): Promise<void>
}

/**
 * What the primary does: walks the tree once, hands out the files without a result and keeps what comes back in the
 * workspace's database. A new primary goes on with what is missing there.
 */
export class Keeper {
  readonly #member: Member
  readonly #term: number
  readonly #tree: string
  readonly #stop = new AbortController()
  #results: Result[] = []
  #missing: string[] = []
  #lastId = 0
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
   * moment later: the others wait to be answered.
   */
  start(): void {
    this.#work = this.#run(this.#stop.signal).catch((error: unknown) => this.#failed(error))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#work
  }

  async #run(signal: AbortSignal): Promise<void> {
    await sleep(SERVE_FIRST_MS, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    this.#found = this.#done = this.#count('file where results > 0')
    if (this.#count('walked') === 0) await this.#walk()
    this.#total = this.#count('file')
    const heartbeat = setInterval(() => this.#tell(), REPEAT_PROGRESS_MS)
    signal.addEventListener('abort', () => clearInterval(heartbeat))
    this.#tell()
    await Promise.all(Array.from({ length: LANES }, () => this.#lane()))
    if (signal.aborted) return
    await this.#commit()
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
      await this.#writes.found(paths)
      paths = []
    }
    if (this.#stop.signal.aborted) return
    await this.#writes.found(paths)
    await this.#writes.walkEnded()
  }

  async #lane(): Promise<void> {
    for (let path = this.#next(); path !== undefined; path = this.#next()) {
      const result = await this.#hashed(path)
      if (result === undefined) return
      this.#results.push(result)
      if (this.#results.length >= COMMIT_AT) await this.#commit()
      else this.#timer ??= setTimeout(() => void this.#commit(), COMMIT_EVERY_MS)
    }
  }

  #next(): string | undefined {
    if (this.#stop.signal.aborted) return undefined
    if (this.#missing.length === 0) this.#missing = this.#nextMissing()
    return this.#missing.pop()
  }

  /** The next files without a result, each given once; the first is the last of the list. */
  #nextMissing(): string[] {
    const sql = 'select id, path from file where results = 0 and id > ? order by id limit ?'
    const rows = this.#member.db.read.prepare<{ id: number; path: string }>(sql).all(this.#lastId, PAGE)
    this.#lastId = rows.at(-1)?.id ?? this.#lastId
    return rows.map(({ path }) => path).reverse()
  }

  #count(what: string): number {
    return this.#member.db.read.prepare<{ n: number }>(`select count(*) as n from ${what}`).get()!.n
  }

  get #writes(): Writes {
    return this.#member.db.writes as unknown as Writes
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

  async #commit(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#results.length === 0) return
    const results = this.#results
    this.#results = []
    try {
      await this.#writes.commit({ results, term: this.#term })
      this.#done += results.length
      this.#tell()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    // This reign is over: the next one does what is missing.
    if (this.#stop.signal.aborted || ConclaveError.is(error, 'CLOSED', 'ABORTED')) return
    process.nextTick(() => {
      throw error
    })
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
