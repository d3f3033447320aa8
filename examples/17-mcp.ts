/**
 * Three agents, each with a memory server of its own (17-mcp/server.ts) over stdio, in one project. The server of the
 * first is killed while the others write: nothing is lost, and nothing happens twice.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { ResourceListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { fileURLToPath } from 'node:url'

const args = [...process.execArgv, fileURLToPath(new URL('17-mcp/server.ts', import.meta.url))]
const env = process.env as Record<string, string>

async function agent(name: string) {
  const transport = new StdioClientTransport({ command: process.execPath, args, env })
  const client = new Client({ name, version: '1.0.0' })
  await client.connect(transport)
  const use = async (tool: string, given = {}) => {
    const { content } = await client.callTool({ name: tool, arguments: given })
    return (content as { text: string }[])[0]?.text ?? ''
  }
  return { client, pid: transport.pid ?? 0, use }
}

const editor = await agent('editor')
const terminal = await agent('terminal')
const browser = await agent('browser')

const heard = new Promise((resolve) =>
  browser.client.setNotificationHandler(ResourceListChangedNotificationSchema, resolve),
)
console.log(await editor.use('remember', { text: 'the build needs Node 24' })) // prints: note 1
console.log(await terminal.use('recall', { words: 'build' })) // prints: the build needs Node 24
await heard // the third agent was told

console.log(await editor.use('role')) // prints: primary
const texts = Array.from({ length: 40 }, (_, n) => `step ${n} is done`)
const writing = texts.map((text, n) => (n % 2 === 0 ? terminal : browser).use('remember', { text }))
process.kill(editor.pid, 'SIGKILL')
await Promise.all(writing) // none of them failed

const kept = (await browser.use('recall', { words: 'step' })).split('\n').sort()
console.log('all kept, once:', kept.join() === texts.sort().join()) // prints: all kept, once: true
console.log([await terminal.use('role'), await browser.use('role')].sort()) // prints: [ 'primary', 'secondary' ]
await Promise.all([editor, terminal, browser].map(({ client }) => client.close()))
