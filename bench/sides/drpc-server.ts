// The dRPC server of the bench: echo (method 1) and sink (method 2, an empty answer).
import { defineMethod, defineModule, DomainSocketServer } from 'conclave/drpc'
import type { Commands } from '../support/side.ts'

export async function start({ path }: { readonly path: string }): Promise<Commands> {
  const server = new DomainSocketServer({ path })
  const echo = defineMethod({ id: 1, handle: (body) => body })
  const sink = defineMethod({ id: 2, handle: () => {} })
  server.registerModule(defineModule({ id: 42, methods: { echo, sink } }))
  await server.start()
  return {}
}
