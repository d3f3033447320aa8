import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineReader, MAX_LINE_BYTES } from '../../src/wire/lines.ts'
import { parseRpcLine } from '../../src/wire/jsonrpc.ts'
import { utf8, vectorTexts } from './corpus.ts'
import { allocated, fuzz, inChunks, SLACK_BYTES } from './mutate.ts'

const REQUESTS = [
  { jsonrpc: '2.0', id: 1, method: 'call', params: { method: 'echo', params: [1, 'ü'] } },
  { jsonrpc: '2.0', method: 'publish', params: ['a.b', { x: null }] },
  [{ jsonrpc: '2.0', id: 'a', method: 'status' }, 5, { jsonrpc: '2.0', id: 2, result: 1 }],
  { jsonrpc: '2.0', id: 3, error: { code: -32000, message: 'no', data: { code: 'FAILED' } } },
]
const requests = REQUESTS.map((request) => utf8(`${JSON.stringify(request)}\n`))
const transcripts = vectorTexts('ndjson-transcripts.json', 'line').map((line) => utf8(`${line}\n`))

fuzz('lines: each fault told, and never more than one line held', [...requests, ...transcripts], (bytes, random) => {
  let faults = 0
  let emitted = 0
  const reader = new LineReader({
    maxLineBytes: 200,
    onLine: (text) => (emitted += Buffer.byteLength(text)),
    onTooLong: (length) => {
      assert.ok(length > 200)
      faults++
    },
    onInvalid: () => faults++,
  })
  inChunks(random, bytes, (chunk) => {
    reader.push(chunk)
    assert.ok(reader.pendingBytes <= 201)
  })
  if (reader.end()) faults++
  assert.ok(emitted <= bytes.length)
  return faults > 0 ? 'refused' : undefined
})

fuzz('JSON-RPC: a message, a batch, or an answer that says what is wrong', requests, (bytes) => {
  const parsed = parseRpcLine(Buffer.from(bytes).toString())
  assert.equal(typeof parsed.kind, 'string')
  return parsed.kind === 'invalid' ? 'refused' : undefined
})

test('lines: one that never ends holds the limit and no more', () => {
  const reader = new LineReader({ onLine: () => {}, onTooLong: () => {}, onInvalid: () => {} })
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const grown = allocated(() => {
    for (let n = 0; n < 40; n++) reader.push(chunk)
  })
  assert.equal(reader.pendingBytes, 0)
  // The buffer doubles: until it is collected, the halves before the last count as well.
  assert.ok(grown <= 2 * MAX_LINE_BYTES + SLACK_BYTES, `${grown} bytes`)
})
