import type { Connection } from './driver.ts'

/**
 * The tables that a query reads, in lower case, views resolved: the plan that SQLite made for it says so. `undefined`:
 * it reads a virtual table, which the plan does not name; any change may matter then.
 */
export function tablesRead(connection: Connection, sql: string): ReadonlySet<string> | undefined {
  const tables = new Set<string>()
  const named = connection.prepare('SELECT lower(tbl_name) AS name FROM sqlite_master WHERE rootpage = ?')
  for (const { opcode, p2, p3 } of connection.prepare(`EXPLAIN ${sql}`).all([])) {
    if (opcode === 'VOpen') return undefined
    // p3: the database of the connection, 0 for the file itself.
    if (opcode !== 'OpenRead' || p3 !== 0) continue
    const name = named.get([p2!])?.['name']
    if (typeof name === 'string') tables.add(name)
  }
  return tables
}
