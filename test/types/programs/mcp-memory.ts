/* oxlint-disable typescript/no-explicit-any -- written as a user would */
// What reads and writes the database waits for its room.
// (1) MCP memory server: N clients start it N times on one project; kill the first, the others go on.
import { findWorkspace, join } from '../face.ts'
declare const server: {
  tool(
    name: string,
    shape: object,
    run: (args: any, extra: { signal: AbortSignal; requestId: string | number }) => Promise<unknown>,
  ): void
  notifyChanged(): void
  onclose?: () => void
}

const member = await join(process.env['PROJECT'] ?? findWorkspace(process.cwd(), { app: 'memory' }) ?? process.cwd(), {
  app: 'memory',
  version: 1,
  ref: false,
  database: {
    migrations: ['create table note(id integer primary key, text text not null) strict'],
    writes: {
      add: (tx, p: { text: string }) =>
        Number(tx.prepare('insert into note(text) values (?)').run(p.text).lastInsertRowid),
    },
  },
})
server.onclose = () => void member.close()
