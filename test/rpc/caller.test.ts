import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError, errorToWire, type Code } from '../../src/errors/index.ts'
import { TO_PRIMARY } from '../../src/rpc/address.ts'
import { Caller, FAILED_BY, type FrameSink } from '../../src/rpc/caller.ts'
import { MAX_CALLS_IN_FLIGHT } from '../../src/rpc/limits.ts'
import type { CallSpec, PendingCall } from '../../src/rpc/pending.ts'
import { DeadlineWheel } from '../../src/rpc/timers.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import { OutgoingTransfer } from '../../src/wire/transfer.ts'

class Sink implements FrameSink {
  sent: Frame[] = []
  transfers: OutgoingTransfer[] = []
  long = false
  position: number | undefined = undefined
  onSend: (frame: Frame) => void = () => {}

  send(frame: Frame): OutgoingTransfer | undefined {
    this.sent.push(frame.clone())
    if (this.position !== undefined) this.position += 100
    this.onSend(frame)
    if (!this.long || frame.kind !== KIND.REQUEST) return undefined
    const transfer = new OutgoingTransfer(this.transfers.length + 1, frame.clone(), new Uint8Array(10))
    this.transfers.push(transfer)
    return transfer
  }

  numbers(kind: number = KIND.REQUEST): number[] {
    return this.sent.filter((frame) => frame.kind === kind).map(({ number }) => number)
  }
}

interface Ends {
  readonly call: PendingCall | undefined
  end: unknown
  agains: number
}

function bench(options: Partial<ConstructorParameters<typeof Caller>[0]> = {}) {
  const clock = { now: 1000 }
  const wheel = new DeadlineWheel({ now: () => clock.now })
  const caller = new Caller({ wheel, unresponsive: () => false, ...options })
  const start = (more: Partial<CallSpec> = {}, flags = 0): Ends => {
    const ends: { call: PendingCall | undefined; end: unknown; agains: number } = {
      call: undefined,
      end: undefined,
      agains: 0,
    }
    const spec = { method: 'm', body: '1', target: TO_PRIMARY, deadline: Infinity, ...more }
    ends.call = caller.start(spec, flags, {
      result: (frame) => (ends.end = frame.text),
      error: (error) => (ends.end = error),
      item: () => {},
      again: () => ends.agains++,
    })
    return ends
  }
  return { caller, start, clock }
}

const response = (number: number): Frame => new Frame().set(KIND.RESPONSE, 0, 0, 0, 0, number, 0).withBody('"ok"')

function failure(number: number, code: Code, by: number, outcome?: 'not-committed'): Frame {
  const body = JSON.stringify(errorToWire(new ConclaveError(code, 'no', { outcome })))
  return new Frame().set(KIND.FAILURE, 0, 0, 0, by, number, 0).withBody(body)
}

function failed(end: unknown, code: Code, outcome?: string): void {
  assert.ok(ConclaveError.is(end), String(end))
  assert.deepEqual([end.code, end.outcome], [code, outcome])
}

test('calls wait for a link and go in their order; an answer may come while they are sent', () => {
  const { caller, start } = bench()
  const ends = [start(), start(), start()]
  const sink = new Sink()
  sink.onSend = ({ kind, number }) => {
    if (kind === KIND.REQUEST) caller.receive(response(number))
  }
  caller.attach(sink)
  assert.deepEqual(sink.numbers(), [1, 2, 3])
  assert.deepEqual(
    ends.map(({ end }) => end),
    ['"ok"', '"ok"', '"ok"'],
  )
  assert.deepEqual([caller.pendingCount, caller.inFlight], [0, 0])
})

test('thousands that are answered while they are sent do not nest', () => {
  const { caller, start } = bench()
  const ends = Array.from({ length: 15_000 }, () => start())
  const sink = new Sink()
  sink.onSend = ({ kind, number }) => {
    if (kind === KIND.REQUEST) caller.receive(response(number))
  }
  caller.attach(sink)
  assert.ok(ends.every(({ end }) => end === '"ok"'))
})

test('C5 so many are in flight; whatever ends one lets the next go, in order', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  caller.attach(sink)
  const stop = new AbortController()
  for (let i = 0; i < MAX_CALLS_IN_FLIGHT; i++) start({ signal: stop.signal })
  const late = [start(), start(), start()]
  assert.equal(sink.numbers().length, MAX_CALLS_IN_FLIGHT)
  caller.receive(response(5))
  assert.equal(sink.numbers().at(-1), MAX_CALLS_IN_FLIGHT + 1)
  stop.abort()
  assert.deepEqual(sink.numbers().slice(-2), [MAX_CALLS_IN_FLIGHT + 2, MAX_CALLS_IN_FLIGHT + 3])
  assert.equal(caller.inFlight, 3)
  assert.ok(late.every(({ end }) => end === undefined))
})

test('one that cannot be sent fails alone', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  sink.onSend = ({ number }) => {
    if (number === 2) throw new ConclaveError('TOO_LARGE', 'too large')
  }
  caller.attach(sink)
  const ends = [start(), start(), start()]
  failed(ends[1]!.end, 'TOO_LARGE', 'not-committed')
  assert.deepEqual([caller.pendingCount, caller.inFlight], [2, 2])
})

test('refusals: no time, no number for a time, aborted, too many, too much, NUL, closed', () => {
  const { caller, start, clock } = bench({ maxPendingCalls: 2, maxPendingBytes: 10 })
  for (const deadline of [clock.now, 0, -1, NaN, -Infinity]) failed(start({ deadline }).end, 'TIMEOUT', 'not-committed')
  failed(start({ signal: AbortSignal.abort() }).end, 'ABORTED', 'not-committed')
  failed(start({ method: 'a\0b' }).end, 'INVALID_REQUEST', 'not-committed')
  start({ body: '12345678' })
  failed(start({ body: '12345678' }).end, 'OVERLOADED', 'not-committed')
  start({ body: '1' })
  failed(start({ body: '1' }).end, 'OVERLOADED', 'not-committed')
  caller.close(new ConclaveError('CLOSED', 'over'))
  failed(start().end, 'CLOSED', 'not-committed')
})

test('A13 after a goodbye: newer calls wait for the next link, older ones end, their cancels and credit still go', () => {
  const { caller, start } = bench()
  const old = new Sink()
  caller.attach(old)
  const stop = new AbortController()
  const ends = [start(), start({ signal: stop.signal }), start({}, FLAG.STREAM), start(), start()]
  caller.hold(3)
  const late = start()
  assert.deepEqual(old.numbers(), [1, 2, 3, 4, 5])
  caller.receive(response(1))
  stop.abort()
  caller.credit(ends[2]!.call!, 70_000)
  assert.deepEqual(old.numbers(KIND.CANCEL), [2])
  assert.deepEqual(old.numbers(KIND.CREDIT), [3])
  // Given back by the switchboard: it waited there and was not executed.
  caller.receive(failure(3, 'PRIMARY_LOST', FAILED_BY.SWITCHBOARD, 'not-committed'))
  assert.equal(ends[2]!.end, undefined)
  caller.detach()
  const next = new Sink()
  caller.attach(next)
  assert.deepEqual(next.numbers(), [3, 4, 5, 6], 'in the order of the calls')
  assert.deepEqual([late.end, ends[3]!.end], [undefined, undefined])
  assert.ok(
    next.sent.every(({ b }) => b === 1),
    'nothing ran: it is the first attempt',
  )
})

test('A13 what a handler passes on of its own losses is no reason to repeat', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  caller.attach(sink)
  const ends = [start({ idempotent: true }), start()]
  caller.hold(2)
  caller.receive(failure(1, 'CALLEE_LOST', FAILED_BY.CALLEE))
  caller.receive(failure(2, 'PRIMARY_LOST', FAILED_BY.CALLEE, 'not-committed'))
  failed(ends[0]!.end, 'CALLEE_LOST')
  failed(ends[1]!.end, 'PRIMARY_LOST', 'not-committed')
})

test('B15 a lost link: idempotent calls and queries are repeated with the next attempt, the others are unknown', () => {
  const { caller, start } = bench()
  caller.attach(new Sink())
  const ends = [start(), start({ idempotent: true }), start({ kind: KIND.QUERY }), start({}, FLAG.NOTIFY)]
  caller.detach()
  failed(ends[0]!.end, 'DISCONNECTED', 'unknown')
  failed(ends[3]!.end, 'DISCONNECTED', 'unknown')
  const next = new Sink()
  caller.attach(next)
  assert.deepEqual(
    next.sent.map(({ number, b, flags }) => [number, b, flags]),
    [
      [2, 2, FLAG.IDEMPOTENT],
      [3, 2, 0],
    ],
  )
  assert.equal(ends[1]!.agains, 1)
  caller.receive(failure(2, 'CALLEE_LOST', FAILED_BY.SWITCHBOARD))
  assert.equal(next.sent.at(-1)?.b, 3)
})

test('B15 a repeat that is refused does not say that nothing ran: the first attempt may have', () => {
  const { caller, start } = bench()
  caller.attach(new Sink())
  const ends = [start({ idempotent: true }), start({ idempotent: true })]
  caller.receive(failure(1, 'CALLEE_LOST', FAILED_BY.SWITCHBOARD))
  caller.receive(failure(1, 'MEMBER_NOT_FOUND', FAILED_BY.SWITCHBOARD, 'not-committed'))
  failed(ends[0]!.end, 'MEMBER_NOT_FOUND', 'unknown')
  assert.match((ends[0]!.end as ConclaveError).message, /^no An earlier attempt/)
  caller.detach()
  caller.attach(new Sink())
  caller.receive(failure(2, 'TIMEOUT', FAILED_BY.CALLEE, 'not-committed'))
  failed(ends[1]!.end, 'TIMEOUT', 'unknown')
  const first = start({ idempotent: true })
  caller.receive(failure(3, 'METHOD_NOT_FOUND', FAILED_BY.SWITCHBOARD, 'not-committed'))
  failed(first.end, 'METHOD_NOT_FOUND', 'not-committed')
})

test('a call that did not leave this process whole was not executed: it is sent again, whatever it is', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  sink.position = 0
  caller.attach(sink)
  const ends = [start(), start()]
  sink.long = true
  ends.push(start())
  caller.detach(150)
  failed(ends[0]!.end, 'DISCONNECTED', 'unknown')
  const next = new Sink()
  caller.attach(next)
  assert.deepEqual(next.numbers(), [2, 3])
})

test('a call that waits again gives its old transfer up; one that is ended in the middle was not committed', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  sink.long = true
  caller.attach(sink)
  const stop = new AbortController()
  const ends = [start({ signal: stop.signal }), start()]
  stop.abort()
  failed(ends[0]!.end, 'ABORTED', 'not-committed')
  caller.hold(0)
  for (const transfer of sink.transfers) {
    assert.equal(transfer.ready, true)
    assert.equal(transfer.next(new Frame()), false, 'aborted before it began: nothing is sent')
  }
})

test('C4 answers to calls that ended, or that are not sent, are counted', () => {
  const { caller, start } = bench()
  const waiting = start()
  caller.receive(response(1))
  caller.receive(response(7))
  assert.equal(waiting.end, undefined)
  assert.equal(caller.counters.unknownReplies, 2)
})

test('close ends all, tells the callees, and says what is known of each', () => {
  const { caller, start } = bench()
  const sink = new Sink()
  caller.attach(sink)
  const ends = [start()]
  caller.hold(1)
  ends.push(start())
  caller.close(new ConclaveError('ABORTED', 'over', { cause: 'why' }))
  failed(ends[0]!.end, 'ABORTED', 'unknown')
  failed(ends[1]!.end, 'ABORTED', 'not-committed')
  assert.deepEqual(sink.numbers(KIND.CANCEL), [1])
  assert.equal(caller.pendingCount, 0)
})

test('a stream that is repeated after its first deadline carries the one of its next item', () => {
  const { caller, start, clock } = bench()
  caller.attach(new Sink())
  start({ deadline: 2000, patienceMs: 1000, idempotent: true }, FLAG.STREAM)
  clock.now = 1900
  caller.receive(new Frame().set(KIND.ITEM, 0, 0, 0, 0, 1, 0).withBody('1'))
  caller.detach()
  const next = new Sink()
  caller.attach(next)
  assert.equal(next.sent[0]?.time, 2900)
  caller.close(new ConclaveError('CLOSED', 'over'))
})
