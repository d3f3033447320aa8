import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { ClientConnection, defineModule, newFailure, Status } from '../../../src/dialects/drpc/index.ts'
import { Assembler, packetsOf, readHeader } from '../../../src/dialects/drpc/chunks.ts'
import type { Response } from '../../../src/dialects/drpc/messages.ts'
import { DomainSocketServer } from '../../../src/dialects/drpc/server.ts'
import { defer, temporaryDirectory } from '../../support/index.ts'
import { codec, METHOD, MODULE, needsLinux, needsPython, pattern, RawPeer, serve, stillServes } from './support.ts'
import { bytesOfPacket, MALFORMED, RECORDED, type RecordedCase } from './vectors.ts'

type Direction = 'client->server' | 'server->client'

/** The messages of one direction of one connection, with their packets. */
function messagesOf(
  recorded: RecordedCase,
  direction: Direction,
  connection: number,
): { message: Uint8Array; packets: Buffer[] }[] {
  const assembler = new Assembler()
  const messages: { message: Uint8Array; packets: Buffer[] }[] = []
  let packets: Buffer[] = []
  for (const packet of recorded.packets) {
    if (packet.direction !== direction || packet.connection !== connection) continue
    const bytes = bytesOfPacket(packet)
    packets.push(bytes)
    const message = assembler.push(bytes, 0, bytes.length)
    if (message === undefined) continue
    messages.push({ message, packets })
    packets = []
  }
  assert.ok(assembler.idle)
  return messages
}

function connectionsOf(recorded: RecordedCase): number[] {
  return [...new Set(recorded.packets.map(({ connection }) => connection))]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('every recorded packet decodes, and encodes to the same bytes', () => {
  for (const recorded of RECORDED) {
    test(recorded.description, () => {
      let count = 0
      for (const connection of connectionsOf(recorded)) {
        for (const direction of ['client->server', 'server->client'] as const) {
          for (const { message, packets } of messagesOf(recorded, direction, connection)) {
            const { head, body } =
              direction === 'client->server'
                ? codec.encodeCall(codec.decodeCall(message))
                : codec.encodeResponse(codec.decodeResponse(message))
            const again = packetsOf(Buffer.concat([head, body]))
            assert.equal(again.length, packets.length)
            for (const [index, packet] of again.entries()) assert.ok(packets[index]?.equals(packet), `packet ${index}`)
            count += packets.length
          }
        }
      }
      assert.equal(count, recorded.packets.length)
    })
  }
})

/** A server whose modules answer as the recorded ones did, whatever they are asked. */
async function serveRecorded(t: TestContext, modules: readonly number[], answers: Response[]): Promise<string> {
  const path = join(temporaryDirectory(t), 's')
  const server = new DomainSocketServer({ path })
  const handleCall = (): Uint8Array => {
    const answer = answers.shift()
    assert.ok(answer)
    if (answer.status !== Status.SUCCESS) throw newFailure(answer.status)
    return answer.body
  }
  for (const id of new Set(modules)) server.registerModule(defineModule({ id, handleCall }))
  defer(t, () => server.shutdown({ drain: false }))
  await server.start()
  return path
}

/** Without printing a megabyte when they differ. */
function same(got: string, expected: string): void {
  assert.ok(got === expected, `${got.slice(0, 200)} where ${expected.slice(0, 200)} was due`)
}

describe('our server in the place of the recorded one', { skip: needsLinux || needsPython }, () => {
  for (const recorded of RECORDED) {
    test(recorded.description, async (t) => {
      for (const connection of connectionsOf(recorded)) {
        const calls = messagesOf(recorded, 'client->server', connection)
        const answers = messagesOf(recorded, 'server->client', connection)
        const decoded = answers.map(({ message }) => codec.decodeResponse(message))
        const known = decoded.filter(({ status }) => status !== Status.UNKNOWN_MODULE)
        const modules = calls.map(({ message }) => codec.decodeCall(message).module)
        const path = await serveRecorded(t, known.length === 0 ? [] : modules, known)
        const peer = await RawPeer.start(t, 'client', path)
        for (const [index, { packets }] of calls.entries()) {
          assert.equal(await peer.send(...packets.map(hex)), undefined)
          for (const packet of answers[index]?.packets ?? []) {
            const got = await peer.receive()
            // The one deviation: never a message that encodes to nothing (weak point 5).
            if (readHeader(packet, 0).totalBytes === 0)
              assert.equal(got, `${'0200000000000000'.repeat(2)}00000000010000000800`)
            else same(got, hex(packet))
          }
        }
      }
    })
  }
})

describe('our client in the place of the recorded one', { skip: needsLinux || needsPython }, () => {
  // The C client counts from 0: ours, as the Go client, from 1.
  for (const recorded of RECORDED.filter(({ peers }) => peers.startsWith('go-client'))) {
    test(recorded.description, async (t) => {
      for (const connection of connectionsOf(recorded)) {
        const path = join(temporaryDirectory(t), 's')
        const peer = await RawPeer.start(t, 'server', path)
        const client = new ClientConnection(path)
        defer(t, () => client.abort())
        await client.connect()
        await peer.accept()
        const answers = messagesOf(recorded, 'server->client', connection)
        for (const [index, { message, packets }] of messagesOf(recorded, 'client->server', connection).entries()) {
          const { module, method, body } = codec.decodeCall(message)
          const response = client.sendMsg({ module, method, body })
          for (const packet of packets) same(await peer.receive(), hex(packet))
          await peer.send(...(answers[index]?.packets ?? []).map(hex))
          const expected = codec.decodeResponse(answers[index]?.message ?? new Uint8Array(0))
          assert.deepEqual({ ...(await response), body: undefined }, { ...expected, body: undefined })
          same(hex((await response).body), hex(expected.body))
        }
      }
    })
  }
})

describe(
  'malformed packets: the stricter of what the two servers do, and the server lives on',
  { skip: needsLinux || needsPython },
  () => {
    /** The answer to what can't be decoded: status 5, sequence -1. */
    const REFUSED = '0d000000000000000d00000000000000000000000100000008ffffffffffffffffff011005'
    /** After these answers the connection ends, where `EOF` is last, or works on. */
    const OUTCOMES: Readonly<Record<string, readonly string[]>> = {
      good: ['go'],
      bad_protobuf: [REFUSED, 'EOF'],
      bad_protobuf_then_good: [REFUSED, 'EOF'],
      empty_message: ['go'],
      short_packet: ['EOF'],
      index_1_first: ['EOF'],
      total_chunks_0: [REFUSED, 'EOF'],
      trailing_bytes: ['go'],
      total_larger_than_sent_1_chunk: ['EOF'],
      total_smaller_than_sent_1_chunk: ['EOF'],
      two_chunks_small: ['go'],
      two_chunks_all_data_in_first_then_empty: ['EOF'],
      second_chunk_total_differs: ['EOF'],
      large_2_chunks: ['go'],
      pipelined_3: ['go'],
      unknown_field: ['go'],
      chunk_size_larger_than_packet: [REFUSED, 'EOF'],
      chunk_size_huge_no_data: [REFUSED, 'EOF'],
      zero_length_packet: ['EOF'],
    }
    /** The answers of the recorded Go server, which has the module. */
    const recordedAnswers = (answers: readonly string[]): string[] =>
      answers.filter((answer) => /^[0-9a-f]/.test(answer))

    test('each has an outcome', () =>
      assert.deepEqual(
        MALFORMED.map(({ name }) => name),
        Object.keys(OUTCOMES),
      ))

    for (const { name, description, sent, go_server: recorded } of MALFORMED) {
      test(`${name}: ${description}`, async (t) => {
        const { path } = await serve(t)
        const peer = await RawPeer.start(t, 'client', path)
        const large = name === 'large_2_chunks'
        const call = codec.encodeCall({ module: MODULE, method: METHOD.echo, sequence: 5n, body: pattern(200_000) })
        const packets = large ? packetsOf(Buffer.concat([call.head, call.body])).map(hex) : sent
        if (large)
          assert.deepEqual(
            sent,
            packets.map((packet) => `${packet.length / 2} bytes`),
          )
        // An error on the way shows in what comes back.
        for (const packet of packets) await peer.send(packet)
        const outcome = OUTCOMES[name] ?? []
        for (const expected of outcome[0] === 'go' ? recordedAnswers(recorded) : outcome) {
          const got = await peer.receive()
          if (large) assert.ok(got.startsWith(expected.slice(0, expected.indexOf('...'))))
          else assert.equal(got, expected)
        }
        if (outcome.at(-1) === 'go') await peer.works()
        await stillServes(t, path)
      })
    }
  },
)
