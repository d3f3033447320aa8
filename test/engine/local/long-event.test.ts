import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sendFromPlace } from '../../../src/engine/local/long-event.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'
import { MAX_FRAGMENT_BYTES } from '../../../src/wire/limits.ts'
import { FakePort } from './fakes.ts'

test('B17: a long event is on its way to many links, and its body is here once', () => {
  const body = new Uint8Array(3 * MAX_FRAGMENT_BYTES + 5).map((_, at) => at % 251)
  const frame = new Frame().set(KIND.EVENT, 0, 1, 2, 3, 4, 0).withName('x').withBody(body)
  for (let link = 0; link < 3; link++) {
    const transfer = sendFromPlace(new FakePort(link), frame)!
    const got: number[] = []
    const out = new Frame()
    while (!transfer.spent) {
      assert.ok(transfer.waitingBytes <= MAX_FRAGMENT_BYTES, 'no more than the next fragment is copied')
      transfer.next(out)
      got.push(...out.bytes.subarray(out.bodyStart, out.bodyEnd))
    }
    assert.deepEqual(new Uint8Array(got), body)
  }
})

test('what is given up on its way takes nothing more', () => {
  const frame = new Frame().set(KIND.EVENT, 0, 1, 2, 3, 4, 0).withBody(new Uint8Array(3 * MAX_FRAGMENT_BYTES))
  const transfer = sendFromPlace(new FakePort(1), frame)!
  transfer.abort()
  transfer.close()
  assert.equal(transfer.waitingBytes, 0)
  const closed = new FakePort(2)
  closed.end()
  assert.equal(sendFromPlace(closed, frame), undefined)
})
