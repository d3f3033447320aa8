import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { execute, ROOT, temporaryDirectory } from '../support/index.ts'
import { fault } from './checkers/fault.ts'
import { NAMES } from './names.ts'
import type { Chaos } from './support/chaos.ts'
import { Random } from './support/random.ts'
import { planOf, runChaos } from './support/run.ts'

const RUN = join(ROOT, 'test', 'chaos', 'run.ts')

test('the same seed gives the same plans, another one others', () => {
  for (const chaos of Object.values(NAMES) as Chaos[]) {
    const plans = (seed: number): string =>
      JSON.stringify(Array.from({ length: 20 }, (_, i) => planOf(chaos, seed, i + 1, {})))
    assert.equal(plans(1), plans(1), chaos.name)
    assert.notEqual(plans(1), plans(2), chaos.name)
  }
})

test('every kind of election comes up, about as often as it should', () => {
  const kinds = new Map<string, number>()
  for (let round = 1; round <= 2000; round++) {
    const { kind } = planOf(NAMES.election, 1, round, {})
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  assert.equal(kinds.size, 13)
  for (const [kind, times] of kinds) assert.ok(times >= 20, `${kind}: ${times}`)
})

test('random numbers lie within their bounds', () => {
  const random = new Random('x')
  const seen = new Set<number>()
  for (let i = 0; i < 1000; i++) {
    const number = random.whole(3, 7)
    assert.ok(number >= 3 && number <= 7)
    seen.add(number)
  }
  assert.equal(seen.size, 5)
  const heads = Array.from({ length: 1000 }, () => random.chance(0.5)).filter(Boolean).length
  assert.ok(heads > 400 && heads < 600, `${heads}`)
  assert.equal(random.weighted({ never: 0, always: 1 }), 'always')
})

/** Breaks a promise in its second round, and throws in its third. */
const broken: Chaos<{ readonly number: number }> = {
  name: 'broken',
  rounds: 3,
  crew: () => 0,
  plan: (random) => ({ number: random.whole(1, 100) }),
  run: ({ number }, round) => {
    if (round.number === 3) throw new Error('not even that')
    const faults = round.number === 2 ? [fault('lost', `number ${number}`)] : []
    return Promise.resolve({ faults, figures: { played: 1 } })
  },
}

test('a round that failed is counted, kept, and can be repeated alone', async (t) => {
  const keepIn = temporaryDirectory(t)
  const said: string[] = []
  const options = { seed: 5, rounds: 3, keepIn, onProgress: (text: string) => said.push(text) }
  const report = await runChaos(broken, options)
  assert.equal(report.ok, false)
  assert.equal(report.rounds, 3)
  assert.deepEqual(report.faults, { lost: 1, crash: 1 })
  assert.deepEqual(report.figures, { played: 2 })
  assert.deepEqual(
    report.failed.map(({ round, kept }) => [round, kept]),
    [
      [2, join(keepIn, 'broken-5-2')],
      [3, join(keepIn, 'broken-5-3')],
    ],
  )
  assert.deepEqual(readdirSync(join(keepIn, 'broken-5-2')).sort(), ['faults.json', 'journals', 'plan.json', 'w'])
  const plan = JSON.parse(readFileSync(join(keepIn, 'broken-5-2', 'plan.json'), 'utf8')) as { number: number }
  assert.deepEqual(plan, planOf(broken, 5, 2, {}))
  assert.ok(
    said.some((text) => text.includes('npm run chaos -- broken --seed 5 --round 2')),
    said.join('\n'),
  )
  const again = await runChaos(broken, { ...options, only: 2 })
  assert.deepEqual(again.failed[0]?.faults, report.failed[0]?.faults)
  assert.equal(again.rounds, 1)
})

test('no round begins after the time is up, or when it is interrupted', async () => {
  assert.equal((await runChaos(broken, { seed: 5, rounds: 1, limitMs: 0 })).rounds, 0)
  assert.equal((await runChaos(broken, { seed: 5, rounds: 1, signal: AbortSignal.abort() })).rounds, 0)
})

test('the command prints one object, plans alone, and says what it does not understand', async (t) => {
  const json = await execute(t, process.execPath, [RUN, 'writes', '--rounds', '0', '--seed', '3', '--json'])
  assert.deepEqual(JSON.parse(json.stdout), {
    name: 'writes',
    seed: 3,
    rounds: 0,
    acknowledged: 0,
    lost: 0,
    duplicated: 0,
    phantom: 0,
    integrity: 'ok',
    unknown: 0,
    twoPrimaries: 0,
    faults: {},
    failed: [],
    ok: true,
  })
  assert.equal(json.code, 0)
  const plans = await execute(t, process.execPath, [RUN, 'events', '--rounds', '2', '--seed', '3', '--plan'])
  assert.equal(plans.stdout.trim().split('\n').length, 2)
  for (const words of [['earthquake'], ['writes', '--rounds', 'many'], ['writes', '--nonsense'], []]) {
    const wrong = await execute(t, process.execPath, [RUN, ...words])
    assert.equal(wrong.code, 2, words.join(' '))
    assert.match(wrong.stderr, /npm run chaos -- election\|failover\|writes/)
  }
})
