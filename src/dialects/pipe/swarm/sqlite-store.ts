import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Fact, FactStore } from './facts.ts'

/** Facts in a table of an SQLite database that the caller opened, and closes. */
export class SqliteFactStore implements FactStore {
  readonly #database: DatabaseSync
  readonly #all: StatementSync
  readonly #insert: StatementSync

  constructor(database: DatabaseSync, options: { readonly table?: string } = {}) {
    const table = `"${(options.table ?? 'facts').replaceAll('"', '""')}"`
    this.#database = database
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${table} (
         id TEXT PRIMARY KEY, content TEXT NOT NULL, level REAL NOT NULL, domain TEXT, module TEXT,
         is_gene INTEGER NOT NULL, source TEXT NOT NULL, created_at TEXT NOT NULL)`,
    )
    this.#all = database.prepare(`SELECT * FROM ${table} ORDER BY rowid`)
    this.#insert = database.prepare(`INSERT OR IGNORE INTO ${table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
  }

  facts(): readonly Fact[] {
    return this.#all.all().map(factOf)
  }

  /** All of them or none. */
  merge(facts: readonly Fact[]): number {
    let taken = 0
    this.#database.exec('SAVEPOINT conclave_merge')
    try {
      for (const { id, content, level, domain, module, isGene, source, createdAt } of facts) {
        const row = [id, content, level, domain ?? null, module ?? null, isGene ? 1 : 0, source, createdAt]
        taken += Number(this.#insert.run(...row).changes)
      }
      this.#database.exec('RELEASE conclave_merge')
    } catch (error) {
      this.#database.exec('ROLLBACK TO conclave_merge; RELEASE conclave_merge')
      throw error
    }
    return taken
  }
}

function factOf(row: Readonly<Record<string, SQLOutputValue>>): Fact {
  const { id, content, level, domain, module, is_gene: isGene, source, created_at: createdAt } = row
  return {
    id: String(id),
    content: String(content),
    level: Number(level),
    ...(domain === null ? {} : { domain: String(domain) }),
    ...(module === null ? {} : { module: String(module) }),
    isGene: isGene === 1,
    source: String(source),
    createdAt: String(createdAt),
  }
}
