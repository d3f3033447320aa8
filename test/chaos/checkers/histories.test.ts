import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../../support/index.ts'
import { checkCalls } from './calls.ts'
import { checkEvents, matches } from './events.ts'
import { parseLines, type Journal, type Line } from './journal.ts'
import { checkWrites, readDatabase, TABLE } from './writes.ts'

type Untimed<L> = L extends unknown ? Omit<L, 't'> : never

const journal = (name: string, ...lines: Untimed<Line>[]): Journal => ({
  name,
  lines: lines.map((line, t) => ({ ...line, t }) as Line),
})
const TERM = 2 ** 32
const at = (term: number, number: number): number => term * TERM + number
const publish = (item: string, seq?: number, topic = 'a'): Untimed<Line>[] => [
  { k: 'invoke', op: 'event', item, topic },
  ...(seq === undefined ? [] : [{ k: 'ok', item, seq } as const]),
]
const subscribe = (pattern = 'a', seq = at(1, 0)): Untimed<Line>[] => [
  { k: 'subscribing', s: 's', pattern },
  { k: 'subscribed', s: 's', seq },
]
const saw = (
  item: string,
  seq: number,
  missed: number | null = 0,
  atLeast = missed ?? 0,
  topic = 'a',
): Untimed<Line> => ({
  k: 'saw',
  s: 's',
  item,
  topic,
  seq,
  term: Math.floor(seq / TERM),
  missed,
  atLeast,
})
const events = (...journals: Journal[]): string[] =>
  checkEvents(journals).faults.map(({ kind, text }) => `${kind}: ${text}`)
const three = journal('p', ...publish('1', at(1, 1)), ...publish('2', at(1, 2)), ...publish('3', at(1, 3)))

test('events: all of them, or a gap that counts what was lost', () => {
  assert.deepEqual(
    events(three, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('2', at(1, 2)), saw('3', at(1, 3)))),
    [],
  )
  assert.deepEqual(events(three, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('3', at(1, 3), 1))), [])
  assert.deepEqual(checkEvents([three, journal('q', ...subscribe(), saw('3', at(1, 3), 2))]).figures, {
    acknowledged: 3,
    seen: 1,
    gaps: 1,
    missed: 2,
    inexact: 0,
  })
})

test('events: an untold loss, a wrong gap', () => {
  assert.match(
    events(three, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('3', at(1, 3))))[0]!,
    /^lost: .*told 0, but lost 1/,
  )
  assert.match(events(three, journal('q', ...subscribe(), saw('3', at(1, 3), 1)))[0]!, /^lost: .*told 1, but lost 2/)
  assert.match(events(three, journal('q', ...subscribe(), saw('3', at(1, 3), 3)))[0]!, /^gap: .*told 3/)
  assert.match(events(three, journal('q', ...subscribe(), saw('3', at(1, 3), null, 2)))[0]!, /^gap: .*primary lived/)
  assert.match(events(three, journal('q', ...subscribe(), saw('2', at(1, 2), 1), saw('3', at(1, 3), 1)))[0]!, /^gap/)
})

test('events: across a change of primary a loss is told as Infinity, with no more than was lost', () => {
  const later = journal('r', ...publish('4', at(2, 1)))
  const old = saw('1', at(1, 1))
  assert.deepEqual(events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1), null, 0))), [])
  assert.deepEqual(events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1), null, 2))), [])
  assert.deepEqual(events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1), 2))), [])
  // The fourth may have been in the old term before it was repeated, but there is no fifth.
  assert.deepEqual(events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1), null, 3))), [])
  assert.match(
    events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1), null, 4)))[0]!,
    /^gap: .*at least 4/,
  )
  assert.match(
    events(three, later, journal('q', ...subscribe(), old, saw('4', at(2, 1))))[0]!,
    /^lost: .*told 0, but lost 2/,
  )
})

test('events: what was never acknowledged may lie in a gap, or not', () => {
  const open = journal('p', ...publish('1', at(1, 1)), ...publish('x'), ...publish('3', at(1, 3)))
  for (const told of [0, 1])
    assert.deepEqual(events(open, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('3', at(1, 3), told))), [])
  assert.match(events(open, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('3', at(1, 3), 2)))[0]!, /^gap/)
})

test('events: what was acknowledged in a later term may have been lost in the one that died, at a number nobody else has', () => {
  const repeated = journal('p', ...publish('1', at(1, 1)), ...publish('2', at(2, 1)), ...publish('3', at(2, 2)))
  const late = journal('r', ...publish('4', at(1, 3)))
  const told = (missed: number): string[] =>
    events(repeated, late, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('4', at(1, 3), missed)))
  assert.deepEqual([told(0), told(1)], [[], []])
  assert.match(told(2)[0]!, /^gap: .*told 2/)
})

test('events: a repeat that a subscriber had from the old term may be passed over', () => {
  const repeated = journal('p', ...publish('1', at(2, 1)), ...publish('2', at(2, 2)))
  assert.deepEqual(events(repeated, journal('q', ...subscribe(), saw('1', at(1, 1)), saw('2', at(2, 2), null, 0))), [])
})

test('events: what was told as lost with a term that died, and was repeated, need not be told again, but only that', () => {
  const repeated = journal('p', ...publish('1', at(2, 1)), ...publish('2', at(2, 2)), ...publish('3', at(2, 3)))
  const more = journal('o', ...publish('4', at(2, 4)), ...publish('5', at(2, 5)))
  const told = (atLeast: number): Untimed<Line>[] => [...subscribe(), saw('1', at(2, 1), null, atLeast)]
  assert.deepEqual(events(repeated, journal('q', ...told(1), saw('3', at(2, 3)))), [])
  assert.match(events(repeated, journal('q', ...told(0), saw('3', at(2, 3))))[0]!, /^lost: .*told 0, but lost 1/)
  const twice = [...told(1), saw('3', at(2, 3)), saw('5', at(2, 5))]
  assert.match(events(repeated, more, journal('q', ...twice))[0]!, /^lost: .*told 0, but lost 1/)
})

test('events: twice, out of order, invented, refused, not asked for', () => {
  const all = (...sights: Untimed<Line>[]): string => events(three, journal('q', ...subscribe(), ...sights)).join('\n')
  assert.match(all(saw('1', at(1, 1)), saw('1', at(1, 2))), /^duplicated: q s saw 1 twice/m)
  assert.match(all(saw('2', at(1, 1)), saw('1', at(1, 2))), /^order: q s saw 1 after a later one/m)
  assert.match(all(saw('1', at(1, 3))), /^order: 1:3 is 3 for one and 1 for another/m)
  assert.match(all(saw('2', at(1, 2), 1), saw('3', at(1, 1))), /^order: q s saw 1:1 \(3\) after 1:2/m)
  assert.match(all(saw('9', at(1, 4))), /^phantom: q s saw 9, which nobody published/m)
  const refused = journal(
    'p',
    { k: 'invoke', op: 'event', item: '1', topic: 'a' },
    { k: 'no', item: '1', code: 'OVERLOADED', outcome: 'not-committed' },
  )
  assert.match(events(refused, journal('q', ...subscribe(), saw('1', at(1, 1))))[0]!, /^phantom: .*refused/)
  const other = journal('p', ...publish('1', at(1, 1), 'b'))
  assert.match(
    events(other, journal('q', ...subscribe(), saw('1', at(1, 1), 0, 0, 'b')))[0]!,
    /^phantom: .*does not ask for/,
  )
})

test('events: patterns', () => {
  for (const [pattern, topic, fits] of [
    ['a.b', 'a.b', true],
    ['a.*', 'a.b', true],
    ['a.*', 'a.b.c', false],
    ['a.>', 'a.b.c', true],
    ['a.>', 'a', false],
    ['*.b', 'a.b', true],
    ['*', 'a.b', false],
  ] as const) {
    assert.equal(matches(pattern, topic), fits, `${pattern} ${topic}`)
  }
})

const call = (item: string, end?: Untimed<Line>, idempotent = false): Untimed<Line>[] => [
  { k: 'invoke', op: 'call', item, idempotent },
  ...(end === undefined ? [] : [end]),
]
const calls = (...journals: Journal[]): string[] =>
  checkCalls(journals, new Set(['alive'])).faults.map(({ kind, text }) => `${kind}: ${text}`)
const run = (item: string): Untimed<Line> => ({ k: 'run', item })
const no = (item: string, code: string, outcome: string): Untimed<Line> => ({ k: 'no', item, code, outcome })

test('calls: once when answered, at most once when unknown, never when refused; repeatable ones as often as needed', () => {
  const caller = journal(
    'alive',
    ...call('1', { k: 'ok', item: '1' }),
    ...call('2', no('2', 'DISCONNECTED', 'unknown')),
    ...call('3', no('3', 'DISCONNECTED', 'not-committed')),
    ...call('4', { k: 'ok', item: '4' }, true),
  )
  assert.deepEqual(calls(caller, journal('x', run('1'), run('2'), run('4')), journal('y', run('4'))), [])
  assert.deepEqual(calls(caller, journal('x', run('1'), run('4'))), [])
  assert.match(calls(caller, journal('x', run('4')))[0]!, /^lost: 1 .*no handler ran/)
  assert.match(calls(caller, journal('x', run('1'), run('4')), journal('y', run('1')))[0]!, /^duplicated: 1/)
  assert.match(calls(caller, journal('x', run('1'), run('2'), run('2'), run('4')))[0]!, /^duplicated: 2/)
  assert.match(calls(caller, journal('x', run('1'), run('3'), run('4')))[0]!, /^phantom: 3/)
  assert.match(calls(caller, journal('x', run('1'), run('4'), run('9')))[0]!, /^phantom: 9/)
})

test('calls: one that does not settle, and an error that no fault explains', () => {
  assert.match(calls(journal('alive', ...call('1')))[0]!, /^hung: 1/)
  assert.deepEqual(calls(journal('dead', ...call('1'))), [])
  assert.match(calls(journal('alive', ...call('1', no('1', 'INTERNAL', 'unknown'))))[0]!, /^crash: 1 .*INTERNAL/)
})

const write = (item: string, end?: Untimed<Line>): Untimed<Line>[] => [
  { k: 'invoke', op: 'write', item },
  ...(end === undefined ? [] : [end]),
]
const history = journal(
  'alive',
  ...write('1', { k: 'ok', item: '1' }),
  ...write('2', no('2', 'TIMEOUT', 'not-committed')),
  ...write('3', no('3', 'DISCONNECTED', 'unknown')),
)

test('writes: a lost one, a duplicate, a phantom, a damaged file', () => {
  const check = (items: string[], integrity = 'ok'): ReturnType<typeof checkWrites> =>
    checkWrites([history], { items, integrity }, new Set(['alive']))
  const figures = { acknowledged: 1, lost: 0, duplicated: 0, phantom: 0, open: 1, integrity: true }
  assert.deepEqual(check(['1', '3']), { faults: [], figures })
  assert.deepEqual(check(['1']), { faults: [], figures })
  assert.deepEqual(check(['3']).figures, { ...figures, lost: 1 })
  assert.deepEqual(check(['1', '1']).figures, { ...figures, duplicated: 1 })
  assert.deepEqual(check(['1', '2']).figures, { ...figures, phantom: 1 })
  assert.deepEqual(check(['1', '9']).figures, { ...figures, phantom: 1 })
  assert.deepEqual(check(['1'], 'row 3 missing from index').figures, { ...figures, integrity: false })
  for (const bad of [check(['3']), check(['1', '1']), check(['1', '2']), check(['1'], 'no')])
    assert.equal(bad.faults.length, 1)
})

test('writes: what asking again said of an unknown one counts', () => {
  const asked = (outcome: string): Journal => ({
    ...history,
    lines: [...history.lines, { k: 'outcome', t: 9, item: '3', outcome }],
  })
  const kinds = (outcome: string, items: string[]): string[] =>
    checkWrites([asked(outcome)], { items, integrity: 'ok' }, new Set()).faults.map(({ kind }) => kind)
  assert.deepEqual(kinds('committed', ['1', '3']), [])
  assert.deepEqual(kinds('committed', ['1']), ['lost'])
  assert.deepEqual(kinds('not-committed', ['1']), [])
  assert.deepEqual(kinds('not-committed', ['1', '3']), ['phantom'])
  assert.deepEqual(kinds('unknown', ['1', '3']), [])
})

test('writes: the file is read without the product', (t) => {
  const path = join(temporaryDirectory(t), 'app.db')
  const database = new DatabaseSync(path)
  database.exec(TABLE)
  for (const item of ['a', 'b']) database.prepare('insert into entry(item, writer) values (?, ?)').run(item, 'w')
  database.close()
  assert.deepEqual(readDatabase(path), { items: ['a', 'b'], integrity: 'ok' })
})

test('a torn last line of a killed process is passed over', () => {
  assert.deepEqual(parseLines('{"a":1}\n{"a":2}\n{"a'), [{ a: 1 }, { a: 2 }])
})
