import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Bag } from '../../src/rpc/bag.ts'
import { ByNumber } from '../../src/rpc/by-number.ts'
import { LEAST_PLACES, MOST_PLACES } from '../../src/rpc/limits.ts'

interface Item {
  readonly number: number
  readonly text: string
}

const item = (number: number, text = ''): Item => ({ number, text })

describe('ByNumber', () => {
  it('does what a sorted Map does, for any order of numbers', () => {
    const table = new ByNumber<Item>()
    const model = new Map<number, Item>()
    let seed = 1
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let step = 0, number = 0; step < 20_000; step++) {
      const among = random(10)
      // Mostly rising; now and then far ahead, or one of before.
      if (among < 6) number++
      const chosen = among === 7 ? random(number + 1) : among === 8 ? number + LEAST_PLACES * random(100) : number
      if (among < 4 || among > 6) {
        const added = item(chosen, String(step))
        table.add(added)
        model.set(chosen, added)
      } else assert.equal(table.delete(chosen), model.delete(chosen))
      const asked = random(number + 2)
      assert.equal(table.get(asked), model.get(asked))
      assert.equal(table.has(asked), model.has(asked))
      assert.equal(table.size, model.size)
      if (step % 500 === 0) {
        const sorted = [...model.values()].sort((a, b) => a.number - b.number)
        assert.deepEqual(table.values(), sorted)
        for (const { number: old } of sorted) if (random(2) === 0) assert.equal(table.delete(old), model.delete(old))
      }
    }
    table.clear()
    assert.deepEqual([table.size, table.values(), table.get(1)], [0, [], undefined])
  })

  it('keeps one that takes long, whatever runs through beside it, in no more places', () => {
    const table = new ByNumber<Item>()
    table.add(item(1, 'long'))
    for (let number = 2; number < 10 * MOST_PLACES; number++) {
      table.add(item(number))
      assert.equal(table.delete(number), true)
    }
    assert.equal(table.get(1)?.text, 'long')
    assert.deepEqual(
      table.values().map(({ number }) => number),
      [1],
    )
    table.add(item(1, 'anew'))
    assert.deepEqual([table.get(1)?.text, table.size], ['anew', 1])
  })

  it('holds more than it has places, and numbers of any size', () => {
    const table = new ByNumber<Item>()
    const first = Number.MAX_SAFE_INTEGER - 2 * MOST_PLACES
    for (let n = 0; n < 2 * MOST_PLACES; n++) table.add(item(first + n))
    assert.equal(table.size, 2 * MOST_PLACES)
    for (let n = 0; n < 2 * MOST_PLACES; n++) assert.equal(table.get(first + n)?.number, first + n)
    assert.equal(table.get(first - 1), undefined)
    for (let n = 0; n < 2 * MOST_PLACES; n++) assert.equal(table.delete(first + n), true)
    assert.equal(table.size, 0)
  })
})

describe('Bag', () => {
  it('holds each thing once, and lets any of them go', () => {
    const bag = new Bag<{ place: number }>()
    const things = Array.from({ length: 5 }, () => ({ place: -1 }))
    for (const thing of things) bag.add(thing)
    bag.add(things[2]!)
    assert.equal(bag.size, 5)
    for (const at of [1, 4, 0]) assert.equal(bag.delete(things[at]!), true)
    assert.equal(bag.delete(things[1]!), false)
    assert.deepEqual(new Set(bag.values()), new Set([things[2], things[3]]))
    bag.add(things[1]!)
    assert.deepEqual([bag.size, bag.has(things[1]!), bag.has(things[0]!)], [3, true, false])
  })
})
