import type { AnyWrites, DatabaseOptions } from '../../index.ts'
import { INDEX_FILE, type Hashed } from './protocol.ts'

export interface Result extends Hashed {
  readonly path: string
  readonly worker: string
}

export interface Committed {
  readonly results: readonly Result[]
  readonly term: number
}

/** `results` counts the results committed for a file: more than one is a duplicate, and the demo reports it. */
const FILES = `
  create table file (
    id integer primary key,
    path text not null unique,
    sha256 text,
    size integer,
    worker text,
    term integer,
    results integer not null default 0
  ) strict
`
const WALKS = 'create table walked (at text not null) strict'

const WRITES: AnyWrites = {
  found(tx, paths: readonly string[]) {
    const add = tx.prepare('insert or ignore into file (path) values (?)')
    for (const path of paths) add.run(path)
  },
  walkEnded(tx) {
    tx.prepare('insert into walked (at) values (?)').run(new Date().toISOString())
  },
  commit(tx, { results, term }: Committed) {
    const sql = 'update file set sha256 = ?, size = ?, worker = ?, term = ?, results = results + 1 where path = ?'
    const set = tx.prepare(sql)
    for (const { path, sha256, size, worker } of results) set.run(sha256, size, worker, term, path)
  },
}

/** What every process of the demo brings: whoever is primary serves it. */
export const INDEX_DATABASE: DatabaseOptions<AnyWrites> = {
  file: INDEX_FILE,
  migrations: [FILES, WALKS],
  writes: WRITES,
}
