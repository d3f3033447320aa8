import assert from 'node:assert/strict'
import { commandOf } from '../../src/dialects/bilateral/commands.ts'
import { gobCodec } from '../../src/dialects/bilateral/gob-codec.ts'
import { jsonCodec } from '../../src/dialects/bilateral/json-codec.ts'
import { decodeAny } from '../../src/dialects/eventbus/codec.ts'
import { decodePipeLine } from '../../src/dialects/pipe/messages.ts'
import { Assembler, ChunkFault } from '../../src/dialects/drpc/chunks.ts'
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
