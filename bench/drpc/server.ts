// The server of the bench: echo (method 1) and sink (method 2, an empty answer), at <path>.
import { defineMethod, defineModule, DomainSocketServer } from '../../src/dialects/drpc/index.ts'

const server = new DomainSocketServer({ path: process.argv[2] ?? '' })
server.registerModule(
  defineModule({
    id: 42,
    methods: { echo: defineMethod({ id: 1, handle: (body) => body }), sink: defineMethod({ id: 2, handle: () => {} }) },
  }),
)
await server.start()
console.log('ready')
