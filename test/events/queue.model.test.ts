import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { SubscriptionQueue, type Overflow } from '../../src/events/queue.ts'

/*
 * The whole life of a queue, waiting readers and every end included, against a model that says for each next() what it
 * settles with. queue.test.ts has a model of the account alone, where nobody waits.
 */

interface Got {
  readonly id: number
  readonly missed: number
  readonly atLeast: number
}

/** What a next() came to: an event, `end`, or an error's code or message. */
type End = Got | string

interface Waiting {
  readonly id: number
  readonly bytes: number
  lost: number
  uncounted: boolean
}

class Model {
  readonly maxQueued: number
  readonly maxBytes: number
  readonly overflow: Overflow
  readonly queued: Waiting[] = []
  /** What each next() must come to, by its number; those that still wait are in `readers`. */
  readonly ends: End[] = []
  readonly readers: number[] = []
  asked = 0
  pushed = 0
  lost = 0
  uncounted = false
  ended = false
  due: string | undefined

  constructor(maxQueued: number, maxBytes: number, overflow: Overflow) {
    this.maxQueued = maxQueued
    this.maxBytes = maxBytes
    this.overflow = overflow
  }

  get bytes(): number {
    return this.queued.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  get isFull(): (bytes: number) => boolean {
    return (bytes) =>
      this.queued.length > 0 && (this.queued.length >= this.maxQueued || this.bytes + bytes > this.maxBytes)
  }

  take(): Got {
    const { id, lost, uncounted } = this.queued.shift()!
    return { id, missed: uncounted ? Infinity : lost, atLeast: lost }
  }

  add(id: number, bytes: number): void {
    this.queued.push({ id, bytes, lost: this.lost, uncounted: this.uncounted })
    this.lost = 0
    this.uncounted = false
  }

  dropOldest(): void {
    const { lost, uncounted } = this.queued.shift()!
    const follower = this.queued[0] ?? this
    follower.lost += lost + 1
    follower.uncounted ||= uncounted
  }

  /** Whoever waits is told: the first of the error, if there is one. */
  end(error?: string): void {
    if (this.ended) return
    this.ended = true
    this.due = error
    for (const reader of this.readers.splice(0)) this.ends[reader] = this.end1()
  }

  end1(): End {
    const end = this.due ?? 'end'
    this.due = undefined
    return end
  }
}

class Real {
  readonly queue: SubscriptionQueue<number, Got>
  readonly ends: End[] = []

  constructor(maxQueued: number, maxBytes: number, overflow: Overflow) {
    const deliver = (id: number, missed: number, atLeast: number): Got => ({ id, missed, atLeast })
    this.queue = new SubscriptionQueue({ maxQueued, maxBytes, overflow, deliver })
  }
}

type Command = fc.AsyncCommand<Model, Real>

async function agree(model: Model, { queue, ends }: Real): Promise<void> {
  // Promises settle in their own time.
  await Promise.resolve()
  await Promise.resolve()
  assert.deepEqual(ends, model.ends)
  assert.deepEqual([queue.size, queue.bytes, queue.ended], [model.queued.length, model.bytes, model.ended])
  assert.deepEqual(queue.unreported, { count: model.uncounted ? Infinity : model.lost, atLeast: model.lost })
}

/** One that does something to both and compares them. */
function command(name: string, act: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      act(model, real)
      await agree(model, real)
    },
    toString: () => name,
  }
}

const push = (bytes: number): Command =>
  command(`push ${bytes}`, (model, { queue }) => {
    const id = model.pushed++
    let dropped = 0
    const reader = model.ended ? undefined : model.readers.shift()
    if (reader !== undefined) {
      model.ends[reader] = { id, missed: model.uncounted ? Infinity : model.lost, atLeast: model.lost }
      model.lost = 0
      model.uncounted = false
    } else if (!model.ended) {
      if (model.isFull(bytes) && model.overflow !== 'drop-oldest') {
        dropped = 1
        model.lost++
        if (model.overflow === 'disconnect') model.end('OVERLOADED')
      } else {
        for (; model.isFull(bytes); dropped++) model.dropOldest()
        model.add(id, bytes)
      }
    }
    assert.equal(queue.push(id, bytes), dropped)
  })

const next = (): Command =>
  command('next', (model, { queue, ends }) => {
    const reader = model.asked++
    if (model.queued.length > 0) model.ends[reader] = model.take()
    else if (model.ended) model.ends[reader] = model.end1()
    else model.readers.push(reader)
    queue.next().then(
      (got) => (ends[reader] = got ?? 'end'),
      (error: unknown) => (ends[reader] = ConclaveError.is(error) ? error.code : (error as Error).message),
    )
  })

const noteMissed = (count: number, known: boolean): Command =>
  command(`noteMissed ${count} ${known}`, (model, { queue }) => {
    if (!model.ended) {
      model.lost += count
      model.uncounted ||= !known
    }
    if (known) queue.noteMissed(count)
    else queue.noteMissed(Infinity, count)
  })

const drop = (): Command =>
  command('drop', (model, { queue }) => {
    if (model.queued.length > 0) model.dropOldest()
    queue.drop()
  })

const close = (): Command => command('close', (model, { queue }) => (model.end(), queue.close()))
const fail = (): Command => command('fail', (model, { queue }) => (model.end('gone'), queue.fail(new Error('gone'))))
const leave = (): Command =>
  command('return', (model, { queue }) => {
    model.due = undefined
    model.queued.length = 0
    model.end()
    queue.return()
  })

const pushes = fc.nat(12).map(push)
const misses = fc.tuple(fc.nat(3), fc.boolean()).map(([count, known]) => noteMissed(count, known))
const others = fc.constantFrom(next, next, next, drop).map((make) => make())
const ends = fc.constantFrom(close, fail, leave).map((make) => make())
// Ends are rare, so that something happens before.
const commands = fc.commands(
  [pushes, pushes, pushes, pushes, pushes, pushes, misses, misses, others, others, others, ends],
  {
    maxCommands: 60,
    size: 'max',
  },
)

test('a queue does what its model does: with readers that wait, at its bounds, and at every end', async () => {
  const bounds = fc.record({
    maxQueued: fc.integer({ min: 1, max: 20 }),
    maxBytes: fc.nat(40),
    overflow: fc.constantFrom<Overflow>('drop-oldest', 'drop-newest', 'disconnect'),
  })
  await fc.assert(
    fc.asyncProperty(bounds, commands, async ({ maxQueued, maxBytes, overflow }, list) => {
      await fc.asyncModelRun(
        () => ({
          model: new Model(maxQueued, maxBytes, overflow),
          real: new Real(maxQueued, maxBytes, overflow),
        }),
        list,
      )
    }),
    { numRuns: 500 },
  )
})
