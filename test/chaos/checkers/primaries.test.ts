import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPrimaries, type Primaries, type Testimony } from './primaries.ts'

const begin = (t: number, pid: number, term: number, lock = '1:1'): Testimony => ({
  k: 'begin',
  t,
  pid,
  member: `of ${pid}`,
  term,
  lock,
})
const end = (t: number, pid: number, term: number): Testimony => ({ k: 'end', t, pid, member: `of ${pid}`, term })
const view = (name: string, asked: number, pid: number, term: number): Primaries['views'][number] => ({
  name,
  asked,
  answered: asked + 5,
  pid,
  member: `of ${pid}`,
  term,
})

function faults(round: Partial<Primaries>): string[] {
  const whole = { testimony: [], deaths: [], views: [], removals: [], joins: [], ...round }
  return checkPrimaries(whole).map(({ kind, text }) => `${kind}: ${text}`)
}

const GOOD: Partial<Primaries> = {
  testimony: [begin(10, 1, 1), end(20, 1, 1), begin(30, 2, 2), begin(55, 3, 3)],
  deaths: [{ pid: 2, sent: 50, seen: 70 }],
  views: [view('a', 80, 3, 3), view('b', 81, 3, 3)],
}

test('one after the other, a killed one counted until the signal was sent: no fault', () => {
  assert.deepEqual(faults(GOOD), [])
})

test('two at once', () => {
  assert.match(
    faults({ ...GOOD, testimony: [begin(10, 1, 1), end(31, 1, 1), begin(30, 2, 2)] })[0]!,
    /two-primaries.*1 us/,
  )
  const early = { ...GOOD, deaths: [{ pid: 2, sent: 56, seen: 70 }] }
  assert.match(faults(early)[0]!, /two-primaries: pid 3 in term 3 began 1 us before pid 2 in term 2 ended/)
  const alive = { ...GOOD, deaths: [] }
  assert.equal(faults(alive).length, 2)
})

test('a claim of a living process is found', () => {
  const clash: Testimony = { k: 'clash', t: 31, pid: 2, term: 2, other: { pid: 1, term: 1 } }
  assert.match(faults({ ...GOOD, testimony: [...GOOD.testimony!, clash] })[0]!, /two-primaries.*claim/)
})

test('a term that does not rise', () => {
  const testimony = [begin(10, 1, 2), end(20, 1, 2), begin(30, 2, 2)]
  assert.deepEqual(faults({ testimony }), ['term: pid 2 in term 2 came after pid 1 in term 2'])
})

test('nobody, and members that disagree or are answered by one that is not primary', () => {
  const left = { ...GOOD, testimony: [...GOOD.testimony!, end(75, 3, 3)] }
  assert.match(faults(left).join('; '), /not primary then.*no-primary: when all were asked, 0 were primary/)
  const torn = { ...GOOD, testimony: [begin(10, 1, 1), begin(20, 3, 3)], deaths: [] }
  const views = [view('a', 80, 3, 3), view('b', 81, 1, 1)]
  assert.match(faults({ ...torn, views }).join('; '), /2 were primary.*disagree/)
})

test('a holder whose lock was taken away may overlap with the holder of the new one, and with no other', () => {
  const testimony = [begin(10, 1, 1), begin(40, 2, 2, '1:2'), end(45, 1, 1)]
  const removals = [{ before: 30, after: 31, wholeDirectory: false }]
  const views = [view('a', 80, 2, 2)]
  assert.deepEqual(faults({ testimony, removals, views }), [])
  assert.match(faults({ testimony, views })[0]!, /two-primaries/)
  assert.match(faults({ testimony, views, removals: [{ before: 41, after: 42, wholeDirectory: false }] })[0]!, /two-/)
  const sameLock = [begin(10, 1, 1), begin(40, 2, 2), end(45, 1, 1)]
  assert.match(faults({ testimony: sameLock, removals, views })[0]!, /two-primaries/)
})

test('nobody is let in by a holder whose lock was gone before', () => {
  const testimony = [begin(10, 1, 1), begin(40, 2, 2, '1:2'), end(45, 1, 1)]
  const removals = [{ before: 30, after: 31, wholeDirectory: false }]
  const joined = (since: number): Primaries['joins'] => [{ name: 'late', since, member: 'of 1', term: 1 }]
  assert.deepEqual(faults({ testimony, removals, joins: joined(30) }), [])
  assert.deepEqual(faults({ testimony, removals, joins: joined(32) }), [
    'two-primaries: late was let in by pid 1, whose lock was gone',
  ])
})
