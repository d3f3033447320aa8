import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Hashed } from './protocol.ts'

const PAGE = 512

/** `results` counts the results committed for a file: more than one is a duplicate, and the demo reports it. */
const SCHEMA = `
  create table if not exists file (
    id integer primary key,
    path text not null unique,
    sha256 text,
    size integer,
    worker text,
    term integer,
    results integer not null default 0
  ) strict;
  create table if not exists walked (at text not null) strict;
`

export interface Result extends Hashed {
  readonly path: string
  readonly worker: string
}

/** The index, opened by whoever is primary and by nobody else for writing. */
export class IndexStore {
  readonly #database: DatabaseSync
  readonly #add: StatementSync
  readonly #set: StatementSync
  #lastId = 0

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5_000 })
    this.#database.exec('pragma journal_mode = wal; pragma synchronous = normal;')
    this.#database.exec(SCHEMA)
    this.#add = this.#database.prepare('insert or ignore into file (path) values (?)')
    const set = 'update file set sha256 = ?, size = ?, worker = ?, term = ?, results = results + 1 where path = ?'
    this.#set = this.#database.prepare(set)
  }

  /** Whether a walk was finished, by this primary or one before. */
  get walked(): boolean {
    return this.#number('select count(*) as n from walked') > 0
  }

  get total(): number {
    return this.#number('select count(*) as n from file')
  }

  get done(): number {
    return this.#number('select count(*) as n from file where results > 0')
  }

  found(paths: readonly string[]): void {
    this.#transaction(() => {
      for (const path of paths) this.#add.run(path)
    })
  }

  walkEnded(): void {
    this.#database.prepare('insert into walked (at) values (?)').run(new Date().toISOString())
  }

  commit(results: readonly Result[], term: number): void {
    this.#transaction(() => {
      for (const { path, sha256, size, worker } of results) this.#set.run(sha256, size, worker, term, path)
    })
  }

  /** The next files without a result, each given once. */
  nextMissing(): string[] {
    const sql = 'select id, path from file where results = 0 and id > ? order by id limit ?'
    const rows = this.#database.prepare(sql).all(this.#lastId, PAGE) as { id: number; path: string }[]
    this.#lastId = rows.at(-1)?.id ?? this.#lastId
    return rows.map(({ path }) => path)
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #number(sql: string): number {
    return (this.#database.prepare(sql).get() as { n: number }).n
  }

  #transaction(work: () => void): void {
    this.#database.exec('begin immediate')
    try {
      work()
      this.#database.exec('commit')
    } catch (error) {
      this.#database.exec('rollback')
      throw error
    }
  }
}
