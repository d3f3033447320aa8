import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { History, type Seen } from './index.ts'

/** Two publishers, three acknowledged items, one subscriber that saw them all. */
function good(): History {
  const history = new History()
  history.observer('s', { complete: true })
  for (const [process, item, seq] of [
    ['a', 'a1', 1],
    ['b', 'b1', 2],
    ['a', 'a2', 3],
  ] as const) {
    history.invoked(process, item)
    history.acknowledged(process, item, seq)
  }
  return history
}

function see(history: History, ...events: readonly Seen[]): History {
  for (const event of events) history.seen('s', { term: 1, missed: 0, ...event })
  return history
}

const A1: Seen = { item: 'a1', seq: 1 }
const B1: Seen = { item: 'b1', seq: 2 }
const A2: Seen = { item: 'a2', seq: 3 }

describe('History', () => {
  test('has nothing against a good one', () => {
    const history = see(good(), A1, B1, A2)
    history.present(['a2', 'b1', 'a1'])
    assert.deepEqual(history.complaints(), [])
    history.verify()
    assert.deepEqual(history.counts, { sent: 3, acknowledged: 3, unknown: 0 })
  })

  test('an unknown item may be there or not, also in the count', () => {
    for (const there of [true, false]) {
      const history = see(good(), A1, B1, A2)
      history.invoked('a', 'a3')
      if (there) see(history, { item: 'a3', seq: 4 })
      history.present(there ? ['a1', 'a2', 'a3', 'b1'] : ['a1', 'a2', 'b1'])
      assert.deepEqual(history.complaints(), [])
    }
  })

  test('announced losses are fine, also an unknown number after a change of term', () => {
    assert.deepEqual(see(good(), { ...A2, missed: 2 }).complaints(), [])
    assert.deepEqual(see(good(), A1, { ...A2, term: 2, missed: null }).complaints(), [])
  })

  test('what a primary delivered as it died may be acknowledged by the next one, once', () => {
    const [first, second] = [(number: number) => 2 ** 32 + number, (number: number) => 2 * 2 ** 32 + number]
    const history = new History()
    history.observer('s', { complete: true })
    for (const [item, seq] of [
      ['a1', first(1)],
      ['a2', second(1)],
      ['a3', second(2)],
    ] as const) {
      history.invoked('a', item)
      history.acknowledged('a', item, seq)
    }
    see(history, { item: 'a1', seq: first(1) }, { item: 'a2', seq: first(2) }, { item: 'a3', seq: second(2), term: 2 })
    assert.deepEqual(history.complaints(), [])
    see(history, { item: 'a2', seq: second(3), term: 2 })
    assert.match(history.complaints().join(), /saw a2 twice.*saw a2 as seq 8589934595, acknowledged as 8589934593/)
  })

  test('JSON lines of programs are taken as they come', () => {
    const history = new History()
    history.record('a', { did: 'invoked', item: 'x' })
    history.record('a', { did: 'acknowledged', item: 'x', seq: 1 })
    history.record('a', { did: 'invoked', item: 'y' })
    history.record('a', { did: 'refused', item: 'y', outcome: 'unknown' })
    history.record('s', { did: 'seen', item: 'x', seq: 1 })
    assert.deepEqual(history.complaints(), [])
    assert.deepEqual(history.counts, { sent: 2, acknowledged: 1, unknown: 1 })
  })

  const bad: readonly (readonly [string, RegExp, (history: History) => void])[] = [
    ['a lost item', /b1 was acknowledged to b and is lost/, (h) => h.present(['a1', 'a2'])],
    ['an item twice in the state', /a1 is there 2 times/, (h) => h.present(['a1', 'a1', 'a2', 'b1'])],
    ['a phantom in the state', /z is there, but nobody sent it/, (h) => h.present(['a1', 'a2', 'b1', 'z'])],
    ['a phantom event', /saw z, which nobody sent/, (h) => see(h, A1, B1, A2, { item: 'z', seq: 9 })],
    ['an event twice', /saw b1 twice/, (h) => see(h, A1, B1, B1, A2)],
    ["a publisher's order", /saw a1 after a later one of a/, (h) => see(h, B1, A2, A1)],
    ['a seq that falls', /seq 1 \(a1\) after 2/, (h) => see(h, B1, A1, A2)],
    ['a term that falls', /term 1 after 2/, (h) => see(h, A1, { ...B1, term: 2 }, A2)],
    ['a silent loss', /lost 1 before a2, but was told 0/, (h) => see(h, A1, A2)],
    ['a silent loss at the beginning', /lost 1 before b1, but was told 0/, (h) => see(h, B1, A2)],
    ['a silent loss at the end', /2 received \+ 0 missed, but 3 sent/, (h) => see(h, A1, B1)],
    ['a loss that was none', /told 4 missing before a2, but lost 0/, (h) => see(h, A1, B1, { ...A2, missed: 4 })],
    ['a loss told too late', /lost 1 before b1, but was told 0/, (h) => see(h, B1, { ...A2, missed: 1 })],
    ['Infinity within a term', /Infinity before a2, though the term/, (h) => see(h, A1, { ...A2, missed: Infinity })],
    ['a negative count', /told that -1 are missing/, (h) => see(h, A1, B1, { ...A2, missed: -1 })],
    [
      'a seq that is not the acknowledged one',
      /a2 as seq 4, acknowledged as 3/,
      (h) => see(h, A1, B1, { ...A2, seq: 4 }),
    ],
    [
      'two items of one seq',
      /seq 3 is a2 for t and z for another/,
      (h) => {
        h.seen('s', { item: 'z', seq: 3 })
        h.seen('t', A2)
      },
    ],
    ['a settled item that settles again', /had settled before/, (h) => h.acknowledged('a', 'a1', 1)],
    ['an acknowledgement of nothing', /z was acknowledged to a, which never sent it/, (h) => h.acknowledged('a', 'z')],
    ['an acknowledgement to somebody else', /but b sent it/, (h) => h.refused('a', 'b1', 'unknown')],
    ['an item sent twice', /a1 was sent twice/, (h) => h.invoked('b', 'a1')],
    [
      'a refused item that is there',
      /refused as not-committed/,
      (h) => {
        h.invoked('a', 'a3')
        h.refused('a', 'a3', 'not-committed')
        h.present(['a1', 'a2', 'a3', 'b1'])
      },
    ],
    [
      'an event nobody asked for',
      /b1, which it did not ask for/,
      (h) => {
        h.observer('s', { wants: (item) => item.startsWith('a') })
        see(h, A1, B1, A2)
      },
    ],
  ]
  for (const [what, complaint, spoil] of bad) {
    test(`complains about ${what}`, () => {
      const history = good()
      spoil(history)
      assert.match(history.complaints().join('\n'), complaint)
      assert.throws(() => history.verify(), complaint)
    })
  }
})
