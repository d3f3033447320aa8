/**
 * dRPC: protobuf calls over a Unix socket of packets, as DAOS speaks them. Linux only. Here the messages are two of
 * protobuf's own; yours come from your .proto, by `protoc-gen-es`. Without schemas, bodies are bytes.
 */
import { StringValueSchema, UInt32ValueSchema } from '@bufbuild/protobuf/wkt'
import { ConclaveError } from 'conclave'
import { ClientConnection, defineMethod, defineModule, DomainSocketServer, newFailure, Status } from 'conclave/drpc'

const text = defineModule({
  id: 7,
  name: 'text',
  methods: {
    length: defineMethod({
      id: 701,
      request: StringValueSchema,
      response: UInt32ValueSchema,
      handle: ({ value }, { caller }) => {
        if (value === '') throw newFailure(Status.FAILED_UNMARSHAL_PAYLOAD, `nothing from pid ${caller.pid}`)
        return { value: value.length }
      },
    }),
    reverse: defineMethod({ id: 702, handle: (bytes) => bytes.toReversed() }),
  },
})

const server = new DomainSocketServer({ path: 'text.sock', mode: 0o600 })
server.registerModule(text)
await server.start()

const client = new ClientConnection('text.sock')
await client.connect()

const { value } = await client.call(text.methods.length, { value: 'conclave' })
console.log(value, 'letters') // prints: 8 letters

const reversed = await client.call(text.methods.reverse, Buffer.from('abc'))
console.log(Buffer.from(reversed).toString()) // prints: cba

try {
  await client.call(text.methods.length, { value: '' })
} catch (error) {
  if (ConclaveError.is(error)) console.log(error.code, error.reason) // prints: INVALID_PARAMS FAILED_UNMARSHAL_PAYLOAD
}

// The message itself, with any status: what existing clients do.
const { status } = await client.sendMsg({ module: 8, method: 1 })
console.log(status === Status.UNKNOWN_MODULE) // prints: true

await client.close()
await server.shutdown()
console.log(client.isConnected) // prints: false
