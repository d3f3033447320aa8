import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KIND } from '../../src/wire/frame.ts'
import { HEADER_BYTES, MAX_FRAGMENT_BYTES, MAX_NAME_BYTES } from '../../src/wire/limits.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import { fields, header, throwsCode } from '../wire/support.ts'
import { recorded, vectorBytes } from './corpus.ts'
import { allocated, fuzz, inChunks, SLACK_BYTES, typed } from './mutate.ts'

const LONGEST_FRAME = HEADER_BYTES + MAX_NAME_BYTES + MAX_FRAGMENT_BYTES

fuzz(
  'frames: an error of ours, and never more than one frame held',
  [...vectorBytes('wire.json'), ...recorded('link')],
  (bytes, random) => {
    const reader = new FrameReader((frame) => void fields(frame))
    return typed(() =>
      inChunks(random, bytes, (chunk) => {
        reader.push(chunk, 0, chunk.length)
        assert.ok(reader.heldBytes < LONGEST_FRAME)
      }),
    )
  },
)

test('frames: a header that claims a long name or body allocates nothing for it', () => {
  const claims = [header({ kind: KIND.EVENT, body: 0xffffffff }), header({ kind: KIND.EVENT, name: 0xffff })]
  for (const claim of claims) {
    const grown = allocated(() => {
      throwsCode(() => new FrameReader(() => assert.fail('a frame')).push(claim, 0, claim.length), 'TOO_LARGE')
    })
    assert.ok(grown < SLACK_BYTES, `${grown} bytes`)
  }
})
