import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Keys, type Verdict } from '../../../src/dialects/eventbus/keys.ts'

const PLAIN = { exclusive: false, tellsSetup: false, resumed: false }
const OURS = { ...PLAIN, tellsSetup: true }

function admitted(verdicts: readonly Verdict[]): (readonly [number, boolean])[] {
  return verdicts.flatMap((one) => (one.type === 'admitted' ? [[one.id, one.first] as const] : []))
}

describe('first and last of a key', () => {
  test('the first is first, the second is not, another key has its own', () => {
    const keys = new Keys(10)
    assert.deepEqual(admitted(keys.hello(1, 'a', PLAIN)), [[1, true]])
    assert.deepEqual(admitted(keys.hello(2, 'a', PLAIN)), [[2, false]])
    assert.deepEqual(admitted(keys.hello(3, 'b', PLAIN)), [[3, true]])
  })

  test('an exclusive key has one holder', () => {
    const keys = new Keys(10)
    const exclusive = { ...PLAIN, exclusive: true }
    keys.hello(1, 'a', exclusive)
    assert.deepEqual(keys.hello(2, 'a', exclusive), [{ type: 'rejected', id: 2, by: 1, why: 'exclusive' }])
    assert.equal(keys.check(1), true)
    assert.deepEqual(keys.hello(3, 'a', exclusive), [])
    assert.deepEqual(admitted(keys.left(1, 'done')), [[3, true]])
  })

  test('others wait for a set-up, and one of them is first when it dies in it', () => {
    const keys = new Keys(10)
    keys.hello(1, 'a', OURS)
    assert.deepEqual(keys.hello(2, 'a', OURS), [])
    assert.deepEqual(keys.hello(3, 'a', OURS), [])
    assert.deepEqual(keys.left(1, 'dead'), [{ type: 'admitted', id: 2, first: true, abandoned: true }])
    assert.deepEqual(admitted(keys.setupDone(2)), [[3, false]])
  })

  test('after waiting long enough a set-up is not waited for, a clean-up is', () => {
    const keys = new Keys(10)
    keys.hello(1, 'a', OURS)
    keys.hello(2, 'a', OURS)
    assert.deepEqual(admitted(keys.waited(2)), [[2, false]])
    keys.check(1)
    keys.setupDone(1)
    assert.equal(keys.check(2), true)
    keys.hello(3, 'a', OURS)
    assert.deepEqual(keys.waited(3), [{ type: 'rejected', id: 3, by: 2, why: 'cleanup' }])
  })

  test('one that came back after the bus was lost does not set up again', () => {
    const keys = new Keys(10)
    keys.hello(1, 'a', { ...OURS, resumed: true })
    assert.deepEqual(admitted(keys.hello(2, 'a', OURS)), [[2, false]])
  })

  test('a clean-up that nobody ran is remembered, for so many keys', () => {
    const keys = new Keys(2)
    for (const [id, name] of ['a', 'b', 'c'].entries()) {
      keys.hello(id, name, PLAIN)
      keys.left(id, 'dead')
    }
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => keys.isAbandoned(name)),
      [false, true, true],
    )
    assert.deepEqual(keys.hello(9, 'c', PLAIN), [{ type: 'admitted', id: 9, first: true, abandoned: true }])
    assert.equal(keys.isAbandoned('c'), false)
  })
})

type Step = readonly [
  what: 'hello' | 'ours' | 'setupDone' | 'check' | 'bye' | 'close' | 'die' | 'lingered' | 'waited',
  who: number,
]

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom('hello', 'ours', 'setupDone', 'check', 'bye', 'close', 'die', 'lingered', 'waited'),
  fc.nat(5),
)

/** A second, plainer telling of the rules: who is in, who was told what. */
class Model {
  readonly keys = new Keys(100)
  readonly in = new Map<number, 'up' | 'leaving' | 'cleaning'>()
  readonly waiting = new Set<number>()
  lingering: number | undefined
  next = 1
  /** The consumer that stands for a number of the script. */
  readonly ids = new Map<number, number>()

  take(verdicts: readonly Verdict[]): void {
    for (const verdict of verdicts) {
      assert.ok(this.waiting.delete(verdict.id), 'only one that waits is decided')
      if (verdict.type === 'rejected') continue
      const up = [...this.in.values()].filter((phase) => phase === 'up')
      assert.equal(this.cleaners(), 0, 'nobody is let in during a clean-up')
      assert.equal(verdict.first, up.length === 0, 'first: nobody else stays')
      this.in.set(verdict.id, 'up')
    }
  }

  cleaners(): number {
    return [...this.in.values()].filter((phase) => phase === 'cleaning').length + (this.lingering === undefined ? 0 : 1)
  }

  do([what, who]: Step): void {
    const id = this.ids.get(who) ?? 0
    switch (what) {
      case 'hello':
      case 'ours': {
        if (this.in.has(id) || this.waiting.has(id) || this.lingering === id) return
        const fresh = this.next++
        this.ids.set(who, fresh)
        this.waiting.add(fresh)
        this.take(this.keys.hello(fresh, 'k', what === 'ours' ? OURS : PLAIN))
        return
      }
      case 'setupDone':
        return this.take(this.keys.setupDone(id))
      case 'check': {
        const others = [...this.in].filter(([other, phase]) => other !== id && phase !== 'leaving').length
        const expected =
          this.in.get(id) === 'cleaning' || (this.in.has(id) && others === 0 && this.lingering === undefined)
        assert.equal(this.keys.check(id), expected)
        if (this.in.has(id)) this.in.set(id, expected ? 'cleaning' : 'leaving')
        assert.ok(this.cleaners() <= 1, 'one clean-up at a time')
        return
      }
      case 'bye':
      case 'close':
      case 'die': {
        if (what === 'close' && this.in.get(id) === 'cleaning') this.lingering = id
        this.in.delete(id)
        this.waiting.delete(id)
        return this.take(this.keys.left(id, what === 'bye' ? 'done' : what === 'close' ? 'lingers' : 'dead'))
      }
      case 'lingered':
        if (this.lingering !== undefined) {
          const was = this.lingering
          this.lingering = undefined
          this.take(this.keys.lingered(was))
        }
        return
      case 'waited':
        return this.take(this.keys.waited(id))
    }
  }
}

describe('any order of things', () => {
  test('never two clean-ups, nobody let in during one, first means nobody else stays', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = new Model()
        for (const one of steps) model.do(one)
        // When everybody has left, nobody waits and nothing is kept but what was abandoned.
        for (const who of model.ids.keys()) model.do(['die', who])
        model.do(['lingered', 0])
        for (const who of model.ids.keys()) model.do(['die', who])
        assert.equal(model.waiting.size, 0)
        assert.ok(model.keys.size <= 1)
      }),
      { numRuns: 2000 },
    )
  })

  test('of those who ask and then leave, in any interleaving, exactly one is the last', () => {
    const count = fc.integer({ min: 1, max: 6 })
    fc.assert(
      fc.property(count, fc.array(fc.nat(5), { maxLength: 40 }), (consumers, order) => {
        const keys = new Keys(10)
        for (let id = 0; id < consumers; id++) keys.hello(id, 'k', PLAIN)
        const asked = new Map<number, boolean>()
        const gone = new Set<number>()
        for (const id of [...order, ...Array.from({ length: consumers * 2 }, (_, at) => at % consumers)]) {
          if (id >= consumers || gone.has(id)) continue
          if (asked.has(id)) {
            keys.left(id, 'done')
            gone.add(id)
          } else asked.set(id, keys.check(id))
        }
        assert.equal([...asked.values()].filter(Boolean).length, 1)
        assert.equal(keys.size, 0)
      }),
      { numRuns: 1000 },
    )
  })
})
