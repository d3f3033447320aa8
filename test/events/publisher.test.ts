import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError, errorToWire, type Code } from '../../src/errors/index.ts'
import { seqOf } from '../../src/events/position.ts'
import { Publisher } from '../../src/events/publisher.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import { OutgoingTransfer } from '../../src/wire/transfer.ts'

class Sink {
  sent: Frame[] = []
  transfers: OutgoingTransfer[] = []
  maxBytes = Infinity

  send(frame: Frame): OutgoingTransfer | undefined {
    if (frame.bodyBytes() > this.maxBytes) throw new ConclaveError('TOO_LARGE', 'too large')
    this.sent.push(frame.clone())
    if (frame.bodyBytes() < 100) return undefined
    const transfer = new OutgoingTransfer(1, frame.clone())
    this.transfers.push(transfer)
    return transfer
  }

  numbers(): number[] {
    return this.sent.splice(0).map(({ number }) => number)
  }
}

const ack = (number: number, event: number, count = 1): Frame =>
  new Frame().set(KIND.PUBLISHED, 0, 0, count, event, number, 0)
const fails = (code: Code, outcome?: string) => (error: unknown) =>
  ConclaveError.is(error, code) && error.outcome === outcome
const LONG = 'x'.repeat(200)

test('A12 what is not acknowledged is repeated by the next link, in order, and each settles once', async () => {
  const publisher = new Publisher()
  const publishes = [publisher.publish('x', '1'), publisher.publish('x', '2'), publisher.publish('x', '3')]
  const first = new Sink()
  publisher.attach(first, 1, 0)
  assert.deepEqual(first.numbers(), [1, 2, 3])
  publisher.receive(ack(1, 10))
  publisher.detach()
  publishes.push(publisher.publish('x', '4'))
  const second = new Sink()
  publisher.attach(second, 2, 0)
  assert.deepEqual(second.numbers(), [2, 3, 4])
  for (const number of [2, 3, 4, 4, 1]) publisher.receive(ack(number, number))
  assert.deepEqual(await Promise.all(publishes), [seqOf(1, 10), seqOf(2, 2), seqOf(2, 3), seqOf(2, 4)])
  assert.equal(publisher.unacked, 0)
})

test('one acknowledgement may cover a run; what it names and was never published, or was settled, is nothing', async () => {
  const publisher = new Publisher()
  publisher.attach(new Sink(), 1, 0)
  const publishes = Array.from({ length: 50 }, (_, at) => publisher.publish(at % 2 === 0 ? 'x' : 'y', 'body'))
  publisher.receive(ack(2, 21, 3))
  publisher.receive(ack(1, 20, 0xffff_ffff))
  assert.equal(publisher.unacked, 0)
  publisher.receive(ack(51, 70, 10))
  assert.deepEqual(
    await Promise.all(publishes),
    publishes.map((_, at) => seqOf(1, 20 + at)),
  )
  // Nothing is held against the limits any more.
  const small = new Publisher({ maxUnackedBytes: 10 })
  small.attach(new Sink(), 1, 0)
  for (let round = 1; round < 20; round += 2) {
    const two = [small.publish('x', '12345'), small.publish('x', '12345')]
    small.receive(ack(round, round, 2))
    await Promise.all(two)
  }
})

test('an event keeps its mark when it is repeated', () => {
  const publisher = new Publisher()
  for (const sensitive of [true, false, undefined]) void publisher.publish('x', '1', sensitive)
  for (const last of [0, 0, 2]) {
    const sink = new Sink()
    publisher.attach(sink, 1, last)
    assert.deepEqual(
      sink.sent.map(({ flags }) => flags),
      [FLAG.SENSITIVE, 0, 0],
    )
    publisher.detach()
  }
})

test('C2 what this switchboard has taken is asked for again, without its body: its acknowledgement was lost', async () => {
  const publisher = new Publisher()
  publisher.attach(new Sink(), 1, 0)
  const publishes = [publisher.publish('x', LONG), publisher.publish('x', '2')]
  publisher.detach()
  const again = new Sink()
  publisher.attach(again, 1, 1)
  assert.deepEqual(
    again.sent.map((frame) => [frame.number, frame.text]),
    [
      [1, ''],
      [2, '2'],
    ],
  )
  publisher.receive(ack(1, 7))
  publisher.receive(ack(2, 8))
  assert.deepEqual(await Promise.all(publishes), [seqOf(1, 7), seqOf(1, 8)])
})

test('what follows a long event waits until it is out; a broken link in the middle repeats all in order', () => {
  const publisher = new Publisher()
  const first = new Sink()
  publisher.attach(first, 1, 0)
  for (const body of ['1', LONG, '3', LONG, '5']) void publisher.publish('x', body)
  assert.deepEqual(first.numbers(), [1, 2])
  first.transfers.shift()!.close()
  assert.deepEqual(first.numbers(), [3, 4])
  publisher.detach()
  const second = new Sink()
  publisher.attach(second, 1, 0)
  first.transfers.shift()!.close()
  assert.deepEqual(first.numbers(), [], 'nothing goes to the old link')
  assert.deepEqual(second.numbers(), [1, 2])
  second.transfers.shift()!.close()
  assert.deepEqual(second.numbers(), [3, 4])
})

test('refusals settle, and need no handler', async () => {
  const publisher = new Publisher({ maxUnacked: 2, maxUnackedBytes: 10 })
  await assert.rejects(publisher.publish('a.*', undefined), fails('INVALID_OPTION'))
  const big = publisher.publish('x', 'x'.repeat(50))
  await assert.rejects(publisher.publish('x', '1'), fails('OVERLOADED', 'not-committed'))
  const sink = new Sink()
  sink.maxBytes = 20
  publisher.attach(sink, 1, 0)
  await assert.rejects(big, fails('TOO_LARGE'))
  const [one, two] = [publisher.publish('x', '1'), publisher.publish('x', '2')]
  await assert.rejects(publisher.publish('x', '3'), fails('OVERLOADED', 'not-committed'))
  publisher.receive(ack(2, 1).withBody(JSON.stringify(errorToWire(new ConclaveError('OVERLOADED', 'no')))))
  await assert.rejects(one, fails('OVERLOADED'))
  publisher.close(new ConclaveError('CLOSED', 'over'))
  await assert.rejects(two, fails('CLOSED', 'unknown'))
  await assert.rejects(publisher.publish('x', '3'), fails('CLOSED', 'not-committed'))
  void publisher.publish('x', '4')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(publisher.counters.rejected, 8)
})

test('bytes that are transferred away before they are acknowledged are given back to the limit', async () => {
  const publisher = new Publisher({ maxUnackedBytes: 10 })
  publisher.attach(new Sink(), 1, 0)
  for (let number = 1; number <= 5; number++) {
    const body = new Uint8Array(8)
    const published = publisher.publish('x', body)
    structuredClone(body, { transfer: [body.buffer] })
    publisher.receive(ack(number, number))
    await published
  }
  const two = [publisher.publish('x', '12345'), publisher.publish('x', '12345')]
  publisher.receive(ack(6, 6, 2))
  await Promise.all(two)
})

test('no topic at all is refused, also as the first one', async () => {
  const publisher = new Publisher()
  await assert.rejects(publisher.publish('', '1'), fails('INVALID_OPTION'))
  assert.equal(publisher.counters.published, 0)
})
