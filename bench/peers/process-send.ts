// child_process.fork and process.send: the server is the client's child, as it has to be.
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Body, Peer } from './peer.ts'

interface Request {
  readonly id: number
  readonly method: 'echo' | 'sink'
  readonly body: Body
}

export const peer: Peer = {
  rpc: {
    form: 'text',
    bulkForm: 'bytes',
    serve: async () => {},
    connect: async () => {
      const children = new Map<string, ChildProcess>()
      const waiting = new Map<number, (body: unknown) => void>()
      let last = 0
      // Text in the default serialization, bytes in the one that can carry them.
      const childFor = (body: Body): ChildProcess => {
        const serialization = typeof body === 'string' ? 'json' : 'advanced'
        let child = children.get(serialization)
        if (child === undefined) {
          const program = fileURLToPath(import.meta.url)
          children.set(serialization, (child = fork(program, ['echo'], { serialization, execArgv: [] })))
          child.on('message', (message) => {
            const { id, body: answer } = message as Request
            waiting.get(id)?.(answer)
            waiting.delete(id)
          })
        }
        return child
      }
      return {
        call: (method, body) =>
          new Promise((resolve) => {
            const id = ++last
            waiting.set(id, resolve)
            childFor(body).send({ id, method, body })
          }),
      }
    },
  },
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('message', ({ id, method, body }: Request) =>
    process.send?.({ id, body: method === 'echo' ? body : null }),
  )
}
