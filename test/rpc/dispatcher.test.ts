import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import type { FrameSink } from '../../src/rpc/caller.ts'
import { Dispatcher, type RequestHandler } from '../../src/rpc/dispatcher.ts'
import { MAX_KEPT_RESULTS, REQUESTS_A_TURN } from '../../src/rpc/limits.ts'
import type { IncomingRequest } from '../../src/rpc/run.ts'
import { DeadlineWheel } from '../../src/rpc/timers.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'

class Sink implements FrameSink {
  sent: Frame[] = []
  maxBytes = Infinity

  send(frame: Frame): undefined {
    if (frame.bodyBytes() > this.maxBytes) throw new ConclaveError('TOO_LARGE', 'too large')
    this.sent.push(frame.clone())
  }
}

const ALICE = { id: 'alice', name: 'alice', pid: 1 }

function bench(handlers: Readonly<Record<string, RequestHandler>> = {}) {
  const clock = { now: 1000 }
  const dispatcher = new Dispatcher(new DeadlineWheel({ now: () => clock.now }))
  const sink = new Sink()
  for (const [method, handler] of Object.entries(handlers)) dispatcher.handle(method, handler)
  dispatcher.attach(sink)
  dispatcher.introduce(1, ALICE)
  dispatcher.open()
  const request = (
    number: number,
    method: string,
    flags = 0,
    more: { body?: string; time?: number; slot?: number } = {},
  ): void => {
    const { body = 'null', time = 5000, slot = 1 } = more
    dispatcher.receive(new Frame().set(KIND.REQUEST, flags, slot, 1, 0, number, time).withName(method).withBody(body))
  }
  const cancel = (number: number): void => dispatcher.receive(new Frame().set(KIND.CANCEL, 0, 1, 0, 0, number, 0))
  return { dispatcher, sink, clock, request, cancel }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function told({ sent }: Sink): unknown[] {
  return sent.splice(0).map((frame) => {
    if (frame.kind !== KIND.FAILURE) return JSON.parse(frame.text) as unknown
    const { data } = JSON.parse(frame.text) as { data: { code: string; outcome?: string } }
    return data.outcome === undefined ? data.code : `${data.code} ${data.outcome}`
  })
}

test('no handler runs inside the call that brings its request, nor before open', async () => {
  const dispatcher = new Dispatcher(new DeadlineWheel({ now: () => 0 }))
  const sink = new Sink()
  let runs = 0
  dispatcher.handle('m', () => ++runs)
  dispatcher.attach(sink)
  dispatcher.introduce(1, ALICE)
  const request = new Frame().set(KIND.REQUEST, 0, 1, 1, 0, 1, 100).withName('m')
  dispatcher.receive(request)
  await turn()
  assert.deepEqual([runs, dispatcher.running], [0, 0])
  dispatcher.open()
  assert.equal(runs, 0)
  await turn()
  assert.deepEqual(told(sink), [1])
})

test('A14 expired, or without a number for a deadline: never started', async () => {
  let runs = 0
  const { sink, request, clock } = bench({ m: () => ++runs })
  for (const [i, time] of [999, 1000, NaN, -1].entries()) request(i + 1, 'm', 0, { time })
  request(9, 'm', FLAG.IDEMPOTENT, { time: 1001 })
  clock.now = 2000
  await turn()
  assert.deepEqual(told(sink), Array(5).fill('TIMEOUT not-committed'))
  assert.equal(runs, 0)
})

test('whatever a handler returns or throws is answered once', async () => {
  // oxlint-disable-next-line unicorn/no-thenable
  const thenable = { then: (resolve: (value: unknown) => void) => (resolve(1), resolve(2)) }
  const hostile = {
    // oxlint-disable-next-line unicorn/no-thenable
    get then(): unknown {
      throw new Error('then')
    },
  }
  const { sink, request, dispatcher } = bench({
    value: () => 1,
    promise: () => Promise.resolve(2),
    thenable: () => thenable,
    hostile: () => hostile,
    throws: () => {
      throw new ConclaveError('CONFLICT', 'no')
    },
    rejects: () => Promise.reject(new ConclaveError('FORBIDDEN', 'no')),
    unsendable: () => Promise.resolve(1n),
  })
  for (const [i, method] of [
    'value',
    'promise',
    'thenable',
    'hostile',
    'throws',
    'rejects',
    'unsendable',
    'none',
  ].entries()) {
    request(i + 1, method)
    await turn()
  }
  request(20, 'value', 0, { body: '{' })
  assert.deepEqual(told(sink), [
    1,
    2,
    1,
    'FAILED',
    'CONFLICT',
    'FORBIDDEN',
    'INVALID_RESULT',
    'METHOD_NOT_FOUND not-committed',
    'INVALID_PARAMS not-committed',
  ])
  assert.equal(dispatcher.running, 0)
})

test('a result, or an error, that is too large to be sent is an error that is not', async () => {
  const { sink, request, dispatcher } = bench({
    big: () => 'x'.repeat(1000),
    error: () => Promise.reject(Object.assign(new Error('much'), { data: 'x'.repeat(1000) })),
  })
  sink.maxBytes = 500
  request(1, 'big')
  request(2, 'error', FLAG.IDEMPOTENT)
  await turn()
  assert.deepEqual(told(sink), ['TOO_LARGE', 'TOO_LARGE'])
  assert.equal(dispatcher.running, 0)
})

test('B15 a repeat attaches to the run in progress, later to its kept result; a new number is a new run', async () => {
  const open: ((value: unknown) => void)[] = []
  const { dispatcher, sink, request } = bench({ m: () => new Promise((resolve) => open.push(resolve)) })
  request(1, 'm', FLAG.IDEMPOTENT)
  await turn()
  dispatcher.detach()
  const next = new Sink()
  dispatcher.attach(next)
  dispatcher.introduce(9, ALICE)
  request(1, 'm', FLAG.IDEMPOTENT, { slot: 9 })
  await turn()
  assert.equal(open.length, 1)
  open[0]!('done')
  await turn()
  assert.deepEqual([next.sent.length, next.sent[0]?.a], [1, 9])
  assert.deepEqual(told(next), ['done'])
  request(1, 'm', FLAG.IDEMPOTENT, { slot: 9 })
  assert.deepEqual(told(next), ['done'])
  assert.equal(dispatcher.counters.attached, 2)
  request(2, 'm', FLAG.IDEMPOTENT, { slot: 9 })
  await turn()
  assert.equal(open.length, 2)
  assert.deepEqual(sink.sent, [])
})

test('B15 a lost link aborts what is not idempotent, and its answer goes nowhere', async () => {
  const runs: IncomingRequest[] = []
  const open: ((value: unknown) => void)[] = []
  const { dispatcher, request } = bench({
    m: (run) => {
      runs.push(run)
      return new Promise((resolve) => open.push(resolve))
    },
  })
  request(1, 'm')
  request(2, 'm', FLAG.IDEMPOTENT)
  request(3, 'm', FLAG.IDEMPOTENT | FLAG.STREAM)
  await turn()
  const signals = runs.map(({ signal }) => signal)
  dispatcher.detach()
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false, true],
  )
  assert.ok(ConclaveError.is(signals[0]!.reason, 'PRIMARY_LOST'))
  const next = new Sink()
  dispatcher.attach(next)
  dispatcher.introduce(5, ALICE)
  for (const resolve of open) resolve('late')
  await turn()
  // The idempotent one is answered too: its caller, back in this term, waits for that very number.
  assert.deepEqual(
    next.sent.map(({ number }) => number),
    [2],
  )
})

test('C2 a run that was aborted does not answer for the repeat that comes after it', async () => {
  const open: ((value: unknown) => void)[] = []
  const { dispatcher, sink, request, cancel } = bench({ m: () => new Promise((resolve) => open.push(resolve)) })
  request(1, 'm', FLAG.IDEMPOTENT)
  await turn()
  cancel(1)
  dispatcher.forget(1)
  dispatcher.introduce(1, ALICE)
  request(1, 'm', FLAG.IDEMPOTENT)
  await turn()
  assert.equal(open.length, 2)
  open[0]!('old')
  await turn()
  assert.deepEqual(told(sink), [])
  open[1]!('new')
  await turn()
  assert.deepEqual(told(sink), ['new'])
})

test('an older slot that is forgotten late does not take the member away; an old notification neither', async () => {
  let open!: (value: unknown) => void
  const { dispatcher, sink, request } = bench({ m: () => 1, note: () => new Promise((resolve) => (open = resolve)) })
  request(1, 'note', FLAG.NOTIFY)
  await turn()
  dispatcher.introduce(2, ALICE)
  dispatcher.forget(1)
  request(2, 'm', 0, { slot: 2 })
  await turn()
  assert.deepEqual([told(sink)], [[1]])
  dispatcher.detach()
  dispatcher.attach(sink)
  dispatcher.introduce(3, ALICE)
  open(1)
  await turn()
  const abort = new AbortController()
  dispatcher.handle(
    'hang',
    ({ signal }) => (signal.addEventListener('abort', () => abort.abort()), new Promise(() => {})),
  )
  request(3, 'hang', 0, { slot: 3 })
  await turn()
  dispatcher.detach()
  assert.equal(abort.signal.aborted, true, 'its member was still known')
})

test(`kept results: at most ${MAX_KEPT_RESULTS}, the oldest leaves first`, async () => {
  let runs = 0
  const { sink, request } = bench({ m: () => ++runs })
  for (let i = 1; i <= MAX_KEPT_RESULTS + 1; i++) request(i, 'm', FLAG.IDEMPOTENT)
  for (let i = 0; i <= MAX_KEPT_RESULTS / REQUESTS_A_TURN + 1; i++) await turn()
  sink.sent = []
  request(2, 'm', FLAG.IDEMPOTENT)
  request(1, 'm', FLAG.IDEMPOTENT)
  await turn()
  assert.deepEqual(told(sink), [2, MAX_KEPT_RESULTS + 2])
})

test('F3 requests that make requests let the loop turn', async () => {
  let runs = 0
  let stop = false
  const { request } = bench({
    m: () => {
      if (!stop) request(++runs + 1, 'm')
      return 1
    },
  })
  request(1, 'm')
  await turn()
  await turn()
  assert.ok(runs >= REQUESTS_A_TURN && runs <= 4 * REQUESTS_A_TURN, `${runs} runs in two turns`)
  stop = true
  await turn()
})

test('close aborts all that runs, notifications too, and starts nothing more', async () => {
  const signals: AbortSignal[] = []
  const { dispatcher, sink, request } = bench({
    m: ({ signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    },
  })
  request(1, 'm')
  request(2, 'm', FLAG.NOTIFY)
  request(3, 'm', FLAG.IDEMPOTENT)
  await turn()
  request(4, 'm')
  const reason = new ConclaveError('CLOSED', 'over')
  dispatcher.close(reason)
  await turn()
  assert.deepEqual(
    signals.map((signal) => signal.reason as unknown),
    [reason, reason, reason],
  )
  assert.deepEqual(sink.sent, [])
})

test('whatever can be iterated in turns is a stream: a Readable, a web stream, an object of one method', async () => {
  let destroyed = false
  const endless = new Readable({
    objectMode: true,
    read() {
      this.push('a')
    },
    destroy(error, done) {
      destroyed = true
      done(error)
    },
  })
  const { sink, request, cancel, dispatcher } = bench({
    readable: () => Readable.from(['a', 'b']),
    web: () => Promise.resolve(ReadableStream.from([1, 2])),
    object: () => ({
      async *[Symbol.asyncIterator]() {
        yield 1
        return 2
      },
    }),
    broken: () => ({
      [Symbol.asyncIterator]() {
        throw new ConclaveError('CONFLICT', 'no')
      },
    }),
    endless: () => endless,
  })
  for (const [i, method] of ['readable', 'web', 'object', 'broken'].entries()) request(i + 1, method, FLAG.STREAM)
  while (dispatcher.running > 0) await turn()
  const items = sink.sent.filter(({ kind }) => kind === KIND.ITEM)
  const of = (number: number): unknown[] =>
    items.filter((item) => item.number === number).map(({ text }) => JSON.parse(text))
  assert.deepEqual([of(1), of(2), of(3)], [['a', 'b'], [1, 2], [1]])
  const ends = sink.sent.filter(({ kind }) => kind !== KIND.ITEM).sort((a, b) => a.number - b.number)
  assert.deepEqual(
    ends.map((end) => [end.kind, end.hasBody]),
    [
      [KIND.RESPONSE, false],
      [KIND.RESPONSE, false],
      [KIND.RESPONSE, true],
      [KIND.FAILURE, true],
    ],
  )
  request(5, 'endless', FLAG.STREAM)
  await turn()
  cancel(5)
  while (dispatcher.running > 0) await turn()
  assert.ok(destroyed, 'its reader left')
})

test('a stream whose item cannot be sent ends its iterator', async () => {
  let left = false
  const { sink, request, dispatcher } = bench({
    m: async function* () {
      try {
        yield 1
        yield 'x'.repeat(1000)
        yield 2
      } finally {
        left = true
        // What cleanup throws changes nothing.
        throw new Error('cleanup') // oxlint-disable-line no-unsafe-finally
      }
    },
  })
  sink.maxBytes = 500
  request(1, 'm', FLAG.STREAM)
  for (let i = 0; i < 5; i++) await turn()
  assert.deepEqual(told(sink), [1, 'TOO_LARGE'])
  assert.deepEqual([left, dispatcher.running], [true, 0])
})
