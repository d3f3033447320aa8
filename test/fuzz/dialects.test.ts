import assert from 'node:assert/strict'
import { commandOf } from '../../src/dialects/bilateral/commands.ts'
import { gobCodec } from '../../src/dialects/bilateral/gob-codec.ts'
import { jsonCodec } from '../../src/dialects/bilateral/json-codec.ts'
import { decodeAny } from '../../src/dialects/eventbus/codec.ts'
import { decodePipeLine } from '../../src/dialects/pipe/messages.ts'
import { Assembler, ChunkFault, writeHeader } from '../../src/dialects/drpc/chunks.ts'
import { HEADER_BYTES } from '../../src/dialects/drpc/limits.ts'
import { MessageCodec } from '../../src/dialects/drpc/messages.ts'
import { loadProtobuf } from '../../src/dialects/drpc/protobuf.ts'
import { decodeFrame } from '../../src/dialects/zeromq/envelope.ts'
import { decodeLockInfo, encodeLockInfo } from '../../src/dialects/zeromq/lock-info.ts'
import { utf8, vectorBytes, vectorTexts } from './corpus.ts'
import { allocated, fuzz, SLACK_BYTES, typed } from './mutate.ts'

const transcripts = vectorTexts('ndjson-transcripts.json', 'line').map(utf8)
const gobs = vectorBytes('gob-payloads.json')
const json = ['[1,"Arith.Sum",{"A":1}]', '[1,"Arith.Sum",null,{"S":1}]'].map(utf8)
const bus = ['session.update', 'llm.token'].map((topic) =>
  utf8(
    `${topic}\0{"instanceId":"a","projectId":"","topic":"${topic}","timestamp":"2026-11-21T03:29:23.82Z","payload":{"n":1}}`,
  ),
)
const lock = encodeLockInfo({
  instanceId: 'a',
  pid: 7,
  pubPort: 41_000,
  rpcPort: 41_001,
  startedAt: '2026-11-21T03:29:23Z',
})

fuzz('event bus: a message, an unknown type, or an error of ours', transcripts, (bytes) =>
  typed(() => decodeAny(Buffer.from(bytes).toString())),
)

fuzz('pipe: a message or an error of ours', transcripts, (bytes) =>
  typed(() => decodePipeLine(Buffer.from(bytes).toString())),
)

fuzz('ZeroMQ bus: an envelope or none', bus, (bytes) => (decodeFrame(bytes) === undefined ? 'refused' : undefined))

fuzz('ZeroMQ bus: a lock file or none', [utf8(lock)], (bytes) =>
  decodeLockInfo(Buffer.from(bytes).toString()) === undefined ? 'refused' : undefined,
)

for (const codec of [gobCodec, jsonCodec]) {
  fuzz(
    `bilateral, ${codec.name}: calls and answers, or none, and arguments of a typed error`,
    codec.name === 'gob' ? gobs : json,
    (bytes) => {
      const data = Buffer.from(bytes)
      commandOf(data)
      const [request, answer] = [codec.decodeCall(data), codec.decodeBack(data)]
      const asCall = request === undefined ? 'refused' : typed(() => request.args(undefined))
      const asAnswer = answer === undefined ? 'refused' : (answer.error ?? typed(() => answer.reply(undefined)))
      return asCall === undefined || asAnswer === undefined ? undefined : 'refused'
    },
  )
}

fuzz(
  'dRPC: packets of recorded calls, joined to no more than they bring',
  vectorBytes('drpc-packets.json'),
  (bytes) => {
    const assembler = new Assembler()
    let fault: 'refused' | undefined
    const grown = allocated(() => {
      try {
        assembler.push(bytes, 0, bytes.length)
      } catch (error) {
        assert.ok(error instanceof ChunkFault)
        fault = 'refused'
      }
    })
    assert.ok(grown <= bytes.length + SLACK_BYTES, `${grown} bytes`)
    return fault
  },
)

const drpc = new MessageCodec(await loadProtobuf())

fuzz(
  'dRPC: a message in chunks of any size comes back as it was, unless a header lies; then as a call, an answer or an error',
  vectorBytes('drpc-packets.json').map((packet) => packet.subarray(HEADER_BYTES)),
  (message, random) => {
    const sizes = [...sizesOf(message.length, random)]
    const liar = random() < 0.3 ? Math.floor(random() * sizes.length) : -1
    const assembler = new Assembler()
    let from = 0
    for (const [index, size] of sizes.entries()) {
      // In a buffer that holds other things too, as a receive buffer does.
      const buffer = Buffer.alloc(HEADER_BYTES + size + 64, 0xdd)
      writeHeader(buffer, { totalBytes: message.length, chunkBytes: size, index, count: sizes.length })
      buffer.set(message.subarray(from, (from += size)), HEADER_BYTES)
      if (index === liar) buffer[Math.floor(random() * HEADER_BYTES)]! ^= 1 << Math.floor(random() * 8)
      let joined: Uint8Array | undefined
      try {
        joined = assembler.push(buffer, 0, HEADER_BYTES + size)
      } catch (error) {
        assert.ok(error instanceof ChunkFault && liar >= 0)
        return 'refused'
      }
      if (joined === undefined) continue
      if (liar < 0) assert.deepEqual([index, Buffer.compare(joined, message)], [sizes.length - 1, 0])
      const whole = joined
      return typed(() => drpc.decodeCall(whole)) ?? typed(() => drpc.decodeResponse(whole))
    }
    // A header that told of more chunks than there are.
    assert.ok(liar >= 0 && !assembler.idle)
    return 'refused'
  },
)

/** Of chunks that are together so long, and none of them empty. */
function* sizesOf(length: number, random: () => number): Generator<number> {
  let left = length
  do {
    const size = Math.min(left, 1 + Math.floor(random() * (random() < 0.5 ? 8 : left)))
    yield size
    left -= size
  } while (left > 0)
}
