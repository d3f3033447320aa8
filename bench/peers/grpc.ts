// @grpc/grpc-js over a Unix socket. Bodies are bytes as they are: no protobuf, in its favour.
import { join } from 'node:path'
import {
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type Client,
  type ClientReadableStream,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import type { Peer, Place } from './peer.ts'

const same = (value: Buffer): Buffer => value
const method = (name: string, responseStream: boolean) => ({
  path: `/bench.Bench/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
})
const service = {
  echo: method('echo', false),
  sink: method('sink', false),
  items: method('items', true),
} satisfies ServiceDefinition

type Unary = (body: Uint8Array, done: (error: Error | null, answer: unknown) => void) => unknown
interface BenchClient extends Client {
  readonly echo: Unary
  readonly sink: Unary
  items(count: Buffer): ClientReadableStream<Buffer>
}

const address = ({ folder }: Place): string => `unix:${join(folder, 'rpc.sock')}`
const ITEM = Buffer.from(JSON.stringify({ n: 1, text: 'an item of the stream, such as a line' }))

async function serve(place: Place): Promise<void> {
  const server = new Server()
  server.addService(service, {
    echo: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request),
    sink: (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, Buffer.alloc(0)),
    items: (call: ServerWritableStream<Buffer, Buffer>) => {
      let left = call.request.readUInt32LE()
      const some = (): void => {
        while (left > 0) {
          left--
          if (!call.write(ITEM)) return void call.once('drain', some)
        }
        call.end()
      }
      some()
    },
  })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address(place), ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()))
  })
}

async function client(place: Place): Promise<BenchClient> {
  const BenchService = makeGenericClientConstructor(service, 'Bench')
  const made = new BenchService(address(place), credentials.createInsecure())
  await new Promise<void>((resolve, reject) => {
    made.waitForReady(Date.now() + 10_000, (error) => (error ? reject(error) : resolve()))
  })
  return made as unknown as BenchClient
}

export const peer: Peer = {
  rpc: {
    form: 'bytes',
    serve,
    connect: async (place) => {
      const stub = await client(place)
      return {
        call: (name, body) =>
          new Promise((resolve, reject) => {
            stub[name](body as Uint8Array, (error, answer) => (error ? reject(error) : resolve(answer)))
          }),
      }
    },
  },
  streaming: {
    serve,
    connect: async (place) => {
      const stub = await client(place)
      return {
        stream: (count, deliver) =>
          new Promise((resolve, reject) => {
            const request = Buffer.alloc(4)
            request.writeUInt32LE(count)
            stub.items(request).on('data', deliver).on('end', resolve).on('error', reject)
          }),
      }
    },
  },
}
