/**
 * A memory for agents, as an MCP server on stdio. Each client starts its own; those of one folder share one database,
 * and go on when any of them is killed.
 */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { findWorkspace, join } from 'conclave'
import { z } from 'zod'

interface Note {
  readonly id: number
  readonly text: string
}

const member = await join(findWorkspace(process.cwd(), { app: 'memory' }) ?? process.cwd(), {
  app: 'memory',
  database: {
    migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT'],
    writes: {
      add: (tx, { text }: { text: string }) =>
        Number(tx.prepare('INSERT INTO note(text) VALUES (?)').run(text).lastInsertRowid),
    },
  },
})
const all = member.db.read.prepare<Note>('SELECT * FROM note ORDER BY id')
const find = member.db.read.prepare<Note>('SELECT * FROM note WHERE text LIKE ? ORDER BY id')
const one = member.db.read.prepare<Note>('SELECT * FROM note WHERE id = ?')

const server = new McpServer({ name: 'memory', version: '1.0.0' })
const said = (text: string) => ({ content: [{ type: 'text' as const, text }] })

server.registerTool(
  'remember',
  { description: 'Keeps a note.', inputSchema: { text: z.string() } },
  async ({ text }, { signal, requestId }) => {
    // The key makes a request that is repeated over a change of primary happen once.
    const id = await member.db.writes.add({ text }, { signal, key: `${member.id}:${requestId}` })
    return said(`note ${id}`)
  },
)
server.registerTool(
  'recall',
  { description: 'Notes that hold these words, one a line.', inputSchema: { words: z.string() } },
  ({ words }) =>
    said(
      find
        .all(`%${words}%`)
        .map(({ text }) => text)
        .join('\n'),
    ),
)
server.registerTool('role', { description: 'Which part this process plays.' }, () => said(member.role))
server.registerResource(
  'note',
  new ResourceTemplate('memory://note/{id}', {
    list: () => ({ resources: all.all().map(({ id, text }) => ({ uri: `memory://note/${id}`, name: text })) }),
  }),
  { description: 'One note.' },
  (uri, { id }) => ({ contents: [{ uri: uri.href, text: one.get(Number(id))?.text ?? '' }] }),
)

// Whoever wrote it: the agents of all processes hear of it.
await member.on('$db.changed', () => server.sendResourceListChanged()).ready

await server.connect(new StdioServerTransport())
member.unref() // from here on the client decides how long this process lives
