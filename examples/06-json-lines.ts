/** Any language can call, publish and subscribe: JSON-RPC 2.0, one message a line, on the socket that is announced. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { join } from 'conclave'

const member = await join('.', { methods: { add: ([a, b]: [number, number]) => a + b } })

interface Message {
  readonly id?: number
  readonly method?: string
  readonly result?: unknown
  readonly params?: { readonly topic: string; readonly data: unknown }
}

// From here on it could be Python, Go, or a shell with nc.
const { endpoint } = JSON.parse(readFileSync('.conclave/primary.json', 'utf8')) as { endpoint: string }
const socket = connect(endpoint.slice('unix:'.length))
const send = (message: object): boolean => socket.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

send({ id: 1, method: 'add', params: [2, 3] })
send({ id: 2, method: 'conclave.subscribe', params: { pattern: 'news.*' } })
for await (const line of createInterface({ input: socket })) {
  const { id, method, result, params } = JSON.parse(line) as Message
  if (id === 1) console.log('2 + 3 =', result) // prints: 2 + 3 = 5
  if (id === 2) await member.publish('news.today', 'lines work')
  if (method === 'conclave.event') {
    console.log(params?.topic, params?.data) // prints: news.today lines work
    socket.end()
    break
  }
}

await member.close()
