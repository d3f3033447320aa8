import assert from 'node:assert/strict'
import { Channel } from '../../src/wire/channel.ts'
import { FLAG, KIND } from '../../src/wire/frame.ts'
import { MAX_FRAGMENT_BYTES, MAX_JOINED_BYTES, MAX_NAME_BYTES, MAX_TRANSFERS } from '../../src/wire/limits.ts'
import { BatchPool } from '../../src/wire/writer.ts'
import { encode, fields, frameOf } from '../wire/support.ts'
import { recorded, vectorBytes } from './corpus.ts'
import { fuzz, inChunks, SLACK_BYTES, typed } from './mutate.ts'

/** Transfers as they lie on the wire: fragments, then one that is aborted. */
const transfer = encode(
  ...[1, 2, 1, 2, 1].map((number, index) => {
    const flags = index < 3 ? FLAG.MORE : 0
    return frameOf({
      kind: KIND.EVENT,
      flags,
      transfer: number,
      number: 1,
      name: 'long',
      body: 'x'.repeat(900 * index),
    })
  }),
)

fuzz(
  'channel: transfers join to no more than the limit',
  [transfer, ...vectorBytes('wire.json'), ...recorded('link')],
  (bytes, random) => {
    let scheduled = false
    const channel = new Channel({
      pool: new BatchPool(),
      write: () => random() < 0.9,
      schedule: () => (scheduled = true),
      onMessage: (frame) => void fields(frame),
      maxBodyBytes: 256 * 1024,
    })
    const error = typed(() =>
      inChunks(random, bytes, (chunk) => {
        channel.receive(chunk, 0, chunk.length)
        assert.ok(channel.joinedBytes <= MAX_JOINED_BYTES)
        // A transfer is joined from what came, not from what was claimed.
        assert.ok(channel.joinedBytes <= bytes.length + MAX_TRANSFERS * (MAX_FRAGMENT_BYTES + MAX_NAME_BYTES))
        assert.ok(channel.pendingBytes <= bytes.length + SLACK_BYTES)
        if (scheduled) channel.flush()
        scheduled = false
        if (random() < 0.2) channel.drained()
      }),
    )
    channel.close()
    return error
  },
)
