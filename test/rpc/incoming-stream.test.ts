import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IncomingStream } from '../../src/rpc/incoming-stream.ts'
import { ITEM_OVERHEAD_BYTES, STREAM_WINDOW_BYTES } from '../../src/rpc/limits.ts'
import { Frame, KIND } from '../../src/wire/frame.ts'

const item = (body: string): Frame => new Frame().set(KIND.ITEM, 0, 0, 0, 0, 1, 0).withBody(body)

function bench() {
  const credits: number[] = []
  const waits: number[] = []
  const stream = new IncomingStream(
    (bytes) => credits.push(bytes),
    () => waits.push(1),
  )
  return { stream, credits, waits }
}

test('items that came before an error, or the end, are read before it', async () => {
  for (const error of [undefined, new Error('no more')]) {
    const { stream } = bench()
    stream.reply.item!(item('1'))
    stream.reply.item!(item('2'))
    if (error === undefined) stream.reply.result(item('"done"'))
    else stream.reply.error(error)
    assert.deepEqual(await stream.next(), { done: false, value: 1 })
    assert.deepEqual(await stream.next(), { done: false, value: 2 })
    if (error === undefined) {
      assert.deepEqual(await stream.next(), { done: true, value: 'done' })
      assert.deepEqual(await stream.next(), { done: true, value: 'done' })
    } else {
      await assert.rejects(stream.next(), error)
      await assert.rejects(stream.result, error)
      assert.deepEqual(await stream.next(), { done: true, value: undefined })
    }
  }
})

test('readers that wait are served in order; an error goes to the first, the end to the others', async () => {
  const { stream } = bench()
  const reads = [stream.next(), stream.next(), stream.next(), stream.next()]
  stream.reply.item!(item('1'))
  stream.reply.item!(item('2'))
  const error = new Error('no more')
  stream.reply.error(error)
  const [one, two, three, four] = await Promise.allSettled(reads)
  assert.deepEqual(
    [one, two].map((read) => (read as PromiseFulfilledResult<{ value: unknown }>).value.value),
    [1, 2],
  )
  assert.deepEqual(three, { status: 'rejected', reason: error })
  assert.deepEqual((four as PromiseFulfilledResult<unknown>).value, { done: true, value: undefined })
})

test('credit is given for what was read, in quarters of the window, and never for more', async () => {
  const { stream, credits } = bench()
  const body = JSON.stringify('x'.repeat(STREAM_WINDOW_BYTES / 8))
  const bytes = body.length + ITEM_OVERHEAD_BYTES
  for (let i = 0; i < 8; i++) stream.reply.item!(item(body))
  assert.deepEqual(credits, [])
  for (let i = 0; i < 8; i++) await stream.next()
  assert.deepEqual(credits, [2 * bytes, 2 * bytes, 2 * bytes, 2 * bytes])
})

test('who leaves reads nothing more, and is not told of an error', async () => {
  const { stream } = bench()
  stream.reply.item!(item('1'))
  stream.leave()
  stream.reply.item!(item('2'))
  const waiting = stream.next()
  stream.reply.error(new Error('aborted'))
  assert.deepEqual(await waiting, { done: true, value: undefined })
  assert.deepEqual(await stream.next(), { done: true, value: undefined })
})

test('it says whether items wait for their reader, and when the reader waits for more', async () => {
  const { stream, waits } = bench()
  stream.reply.item!(item('1'))
  assert.equal(stream.reply.unread!(), true)
  await stream.next()
  assert.equal(stream.reply.unread!(), false)
  const waiting = [stream.next(), stream.next()]
  assert.equal(waits.length, 1)
  stream.reply.result(item('0'))
  await Promise.all(waiting)
})

test('a result that is no JSON is what the reply throws', () => {
  const { stream } = bench()
  assert.throws(() => stream.reply.result(item('{')), /not JSON/)
  assert.throws(() => stream.reply.item!(item('{')), /not JSON/)
})
