import { GobDecoder } from '../../src/dialects/bilateral/gob/index.ts'
import { vectorBytes } from './corpus.ts'
import { allocated, fuzz, SLACK_BYTES, typed } from './mutate.ts'
import assert from 'node:assert/strict'

const LIMITS = { maxBytes: 256 * 1024, maxElements: 20_000 }

fuzz('gob: an error of ours, and buffers no longer than the stream', vectorBytes('gob-payloads.json'), (bytes) => {
  let error
  const grown = allocated(() => (error = typed(() => new GobDecoder(bytes, LIMITS).decodeAll())))
  assert.ok(grown <= bytes.length + SLACK_BYTES, `${grown} bytes for ${bytes.length}`)
  return error
})
