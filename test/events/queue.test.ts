import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { SubscriptionQueue, type Overflow } from '../../src/events/queue.ts'

interface Got {
  readonly event: number
  readonly missed: number
  readonly atLeast: number
}

type Options = Partial<Omit<ConstructorParameters<typeof SubscriptionQueue<number, Got>>[0], 'deliver'>>

const queueOf = (options: Options = {}): SubscriptionQueue<number, Got> =>
  new SubscriptionQueue({ ...options, deliver: (event: number, missed, atLeast) => ({ event, missed, atLeast }) })

/**
 * The model: everything offered, in order, each with its fate. A consumer that gets an event must be told of exactly
 * the losses that lie between it and the event it got before.
 */
type Fate = { readonly kind: 'event'; readonly id: number; readonly bytes: number; lost: boolean; taken: boolean }
type Entry = Fate | { readonly kind: 'hole'; readonly count: number; readonly uncounted: boolean }

class Model {
  readonly all: Entry[] = []
  readonly #max: { readonly count: number; readonly bytes: number; readonly overflow: Overflow }
  ended = false
  #told = 0

  constructor(max: { readonly count: number; readonly bytes: number; readonly overflow: Overflow }) {
    this.#max = max
  }

  get queued(): Fate[] {
    return this.all.filter((e): e is Fate => e.kind === 'event' && !e.lost && !e.taken)
  }

  get bytes(): number {
    return this.queued.reduce((sum, e) => sum + e.bytes, 0)
  }

  push(id: number, bytes: number): number {
    if (this.ended) return 0
    const entry: Fate = { kind: 'event', id, bytes, lost: false, taken: false }
    let dropped = 0
    while (this.queued.length > 0 && (this.queued.length >= this.#max.count || this.bytes + bytes > this.#max.bytes)) {
      dropped++
      const victim = this.#max.overflow === 'drop-oldest' ? this.queued[0] : entry
      if (victim !== undefined) victim.lost = true
      if (entry.lost) break
    }
    if (entry.lost && this.#max.overflow === 'disconnect') this.ended = true
    this.all.push(entry)
    return dropped
  }

  drop(): void {
    const first = this.queued[0]
    if (first !== undefined) first.lost = true
  }

  lossBefore(end: number): { count: number; atLeast: number } {
    let atLeast = 0
    let uncounted = false
    for (const e of this.all.slice(this.#told, end)) {
      if (e.kind === 'hole') {
        atLeast += e.count
        uncounted ||= e.uncounted
      } else if (e.lost) atLeast++
    }
    return { count: uncounted ? Infinity : atLeast, atLeast }
  }

  take(): Got | undefined {
    const first = this.queued[0]
    if (first === undefined) return undefined
    const at = this.all.indexOf(first)
    const { count, atLeast } = this.lossBefore(at)
    first.taken = true
    this.#told = at + 1
    return { event: first.id, missed: count, atLeast }
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('push' as const), bytes: fc.nat(12) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('shift' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('hole' as const), count: fc.nat(3), known: fc.boolean() }) },
  ),
  { maxLength: 100, size: 'max' },
)
const policy = fc.constantFrom<Overflow>('drop-oldest', 'drop-newest', 'disconnect')

describe('SubscriptionQueue', () => {
  it('accounts for every event that was offered, at the place where it was lost', () => {
    fc.assert(
      fc.property(steps, policy, fc.integer({ min: 1, max: 20 }), fc.nat(40), (list, overflow, maxQueued, maxBytes) => {
        const told: number[] = []
        const queue = queueOf({ maxQueued, maxBytes, overflow, onDrop: (event) => told.push(event) })
        const model = new Model({ count: maxQueued, bytes: maxBytes, overflow })
        let offered = 0
        let received = 0
        let missed = 0
        let dropped = 0
        for (const [id, step] of list.entries()) {
          if (step.do === 'push') {
            if (!queue.ended) offered++
            const lost = queue.push(id, step.bytes)
            assert.equal(lost, model.push(id, step.bytes))
            dropped += lost
          } else if (step.do === 'drop') {
            if (queue.size > 0) dropped++
            queue.drop()
            model.drop()
          } else if (step.do === 'hole') {
            if (!queue.ended) {
              offered += step.count
              model.all.push({ kind: 'hole', count: step.count, uncounted: !step.known })
            }
            if (step.known) queue.noteMissed(step.count)
            else queue.noteMissed(Infinity, step.count)
          } else {
            const got = queue.shift()
            assert.deepEqual(got, model.take())
            if (got !== undefined) {
              received++
              missed += got.atLeast
            }
          }
          assert.equal(queue.size, model.queued.length)
          assert.equal(queue.bytes, model.bytes)
          assert.ok(queue.size <= maxQueued && (queue.bytes <= maxBytes || queue.size === 1))
          assert.equal(queue.ended, model.ended)
          assert.equal(queue.dropped, dropped)
        }
        for (let got = queue.shift(); got !== undefined; got = queue.shift()) {
          assert.deepEqual(got, model.take())
          received++
          missed += got.atLeast
        }
        const lost = model.all.filter((e): e is Fate => e.kind === 'event' && e.lost)
        assert.equal(told.length, lost.length)
        assert.deepEqual(new Set(told), new Set(lost.map((e) => e.id)))
        assert.deepEqual(queue.unreported, model.lossBefore(model.all.length))
        assert.equal(received + missed + queue.unreported.atLeast, offered)
      }),
      { numRuns: 1000 },
    )
  })

  it('answers waiting calls in their order, with what was lost before', async () => {
    const queue = queueOf()
    const [a, b] = [queue.next(), queue.next()]
    queue.push(1, 1)
    queue.noteMissed(2)
    queue.push(2, 1)
    queue.push(3, 1)
    assert.deepEqual(await Promise.all([a, b, queue.next()]), [
      { event: 1, missed: 0, atLeast: 0 },
      { event: 2, missed: 2, atLeast: 2 },
      { event: 3, missed: 0, atLeast: 0 },
    ])
  })

  it('says Infinity and what is certain when the count is not known', async () => {
    const queue = queueOf({ maxQueued: 1 })
    queue.noteMissed(Infinity, 4)
    queue.push(1, 1)
    queue.push(2, 1)
    assert.deepEqual(await queue.next(), { event: 2, missed: Infinity, atLeast: 5 })
    queue.push(3, 1)
    assert.deepEqual(await queue.next(), { event: 3, missed: 0, atLeast: 0 })
  })

  it('drop-newest reports the loss with the next event it accepts', async () => {
    const queue = queueOf({ maxQueued: 2, overflow: 'drop-newest' })
    assert.deepEqual(
      [1, 2, 3, 4].map((id) => queue.push(id, 1)),
      [0, 0, 1, 1],
    )
    assert.deepEqual(queue.unreported, { count: 2, atLeast: 2 })
    assert.deepEqual(await queue.next(), { event: 1, missed: 0, atLeast: 0 })
    queue.push(5, 1)
    assert.deepEqual(await queue.next(), { event: 2, missed: 0, atLeast: 0 })
    assert.deepEqual(await queue.next(), { event: 5, missed: 2, atLeast: 2 })
  })

  it('disconnect delivers what was queued, then OVERLOADED, then the end', async () => {
    const queue = queueOf({ maxQueued: 1, overflow: 'disconnect' })
    assert.deepEqual(
      [1, 2, 3].map((id) => queue.push(id, 1)),
      [0, 1, 0],
    )
    assert.deepEqual(queue.unreported, { count: 1, atLeast: 1 })
    assert.equal((await queue.next())?.event, 1)
    await assert.rejects(
      queue.next(),
      (error) => ConclaveError.is(error, 'OVERLOADED') && /maxQueued/.test(error.message),
    )
    assert.equal(await queue.next(), undefined)
  })

  it('keeps the order while it grows around its seam', () => {
    const queue = queueOf()
    const got: (number | undefined)[] = []
    for (let id = 0; id < 500; id++) {
      queue.push(id, 1)
      if (id % 3 === 0) got.push(queue.shift()?.event)
    }
    while (queue.size > 0) got.push(queue.shift()?.event)
    assert.deepEqual(
      got,
      Array.from({ length: 500 }, (_, i) => i),
    )
  })

  it('takes one event above its bytes when nothing else waits', async () => {
    for (const overflow of ['drop-oldest', 'drop-newest', 'disconnect'] as const) {
      const queue = queueOf({ maxBytes: 10, overflow })
      assert.equal(queue.push(1, 99), 0)
      assert.equal((await queue.next())?.event, 1)
      assert.equal(queue.bytes, 0)
    }
  })

  it('close: queued events first, then the end; later pushes are not offered', async () => {
    const queue = queueOf()
    queue.push(1, 1)
    queue.close()
    assert.equal(queue.push(2, 1), 0)
    queue.noteMissed(7)
    assert.equal((await queue.next())?.event, 1)
    assert.equal(await queue.next(), undefined)
    assert.deepEqual(queue.unreported, { count: 0, atLeast: 0 })
  })

  it('fail: queued events first, then the error once, then the end', async () => {
    const error = new Error('gone')
    const queue = queueOf()
    queue.push(1, 1)
    queue.fail(error)
    queue.fail(new Error('a second one'))
    assert.equal((await queue.next())?.event, 1)
    await assert.rejects(queue.next(), error)
    assert.equal(await queue.next(), undefined)
  })

  it('fail: of several waiting calls the first gets the error, the others the end', async () => {
    const queue = queueOf()
    const waiting = [queue.next(), queue.next()]
    queue.fail(new Error('gone'))
    assert.deepEqual(
      (await Promise.allSettled(waiting)).map((r) => r.status),
      ['rejected', 'fulfilled'],
    )
    assert.equal(await queue.next(), undefined)
  })

  it('an undefined that was thrown is still an error', async () => {
    const queue = queueOf()
    queue.fail(undefined)
    assert.equal(
      await queue.next().then(
        () => 'fulfilled',
        () => 'rejected',
      ),
      'rejected',
    )
  })

  it('return: lets go of everything and ends every waiting call', async () => {
    const queue = queueOf()
    const waiting = queue.next()
    queue.return()
    assert.equal(await waiting, undefined)
    const other = queueOf()
    other.push(1, 1)
    other.fail(new Error('gone'))
    other.return()
    assert.equal(await other.next(), undefined)
    assert.equal(other.size + other.bytes, 0)
  })

  it('never decodes an event that is dropped', () => {
    const decoded: number[] = []
    const queue = new SubscriptionQueue<number>({ maxQueued: 2, deliver: (event) => (decoded.push(event), event) })
    for (let id = 0; id < 10; id++) queue.push(id, 1)
    while (queue.shift() !== undefined);
    assert.deepEqual(decoded, [8, 9])
  })

  it('an event that cannot be decoded fails one call and neither the publisher nor the rest', async () => {
    const deliver = (event: number): number => {
      if (event % 2 === 0) throw new Error(`cannot decode ${event}`)
      return event
    }
    const queue = new SubscriptionQueue<number>({ deliver })
    const waiting = queue.next()
    assert.equal(queue.push(2, 1), 0)
    await assert.rejects(waiting, /cannot decode 2/)
    for (const id of [3, 4, 5]) queue.push(id, 1)
    assert.equal(await queue.next(), 3)
    await assert.rejects(queue.next(), /cannot decode 4/)
    assert.equal(await queue.next(), 5)
  })

  it('refuses options that make no sense', () => {
    for (const options of [{ maxQueued: 0 }, { maxQueued: 1.5 }, { overflow: 'block' as Overflow }]) {
      assert.throws(
        () => queueOf(options),
        (error) => ConclaveError.is(error, 'INVALID_OPTION'),
      )
    }
  })
})
