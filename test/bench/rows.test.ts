import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chartOf, CHARTS } from '../../bench/chart.ts'
import { Results } from '../../bench/support/rows.ts'
import { quantile } from '../../bench/support/statistics.ts'
import { figure, markdownTable, plainTable } from '../../bench/support/table.ts'
import { judge } from '../../bench/targets.ts'

const LATENCY = { case: 'rpc-latency', metric: 'p50 64 B, one core' }

test('a quantile is a value that was measured, by the nearest rank', () => {
  assert.equal(quantile([5, 1, 3], 0.5), 3)
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2)
  assert.equal(quantile([1, 2], 0.99), 2)
  assert.ok(Number.isNaN(quantile([], 0.5)))
})

test('ratios are taken within a round, so that a round in which all are slow changes nothing', () => {
  const results = new Results()
  results.add({ ...LATENCY, subject: 'node:net' }, 'us', 10, 100, 10)
  results.add({ ...LATENCY, subject: 'conclave' }, 'us', 12, 120, 12)
  results.add({ ...LATENCY, subject: 'zeromq' }, 'us', 40, 20, 30)
  const [floor, us, peer] = results.rows()
  assert.deepEqual(us, {
    ...LATENCY,
    subject: 'conclave',
    unit: 'us',
    value: 12,
    min: 12,
    max: 120,
    runs: 3,
    vsFloor: 1.2,
    vsUs: 1,
  })
  assert.equal(floor?.vsFloor, 1)
  assert.equal(peer?.vsFloor, 3)
})

test('a row without a floor, or without us, has no such ratio', () => {
  const results = new Results()
  results.add({ case: 'idle', subject: 'nats', metric: 'CPU of 20' }, '% of a core', 1)
  const [row] = results.rows()
  assert.deepEqual([row?.vsFloor, row?.vsUs], [null, null])
})

test('a subject that failed leaves no rows', () => {
  const results = new Results()
  results.add({ ...LATENCY, subject: 'zeromq' }, 'us', 40)
  results.drop('rpc-latency', 'zeromq')
  assert.deepEqual(results.rows(), [])
})

test('a target is met, missed, or open when a side of it was not measured', () => {
  const results = new Results()
  results.add({ ...LATENCY, subject: 'conclave' }, 'us', 12)
  results.add({ ...LATENCY, subject: 'node:net' }, 'us', 10)
  results.add({ ...LATENCY, subject: 'zeromq' }, 'us', 13)
  const verdicts = new Map(judge(results, new Set(['rpc-latency'])).map((one) => [one.text, one.met]))
  assert.equal(verdicts.get('p50 of 64 B over node:net'), true)
  assert.equal(verdicts.get('p50 of 64 B over zeromq'), false)
  assert.equal(verdicts.get('p50 of 64 B over NATS'), null)
})

test('figures have three digits, tables line up', () => {
  assert.deepEqual([0, 0.01234, 1.005, 99.96, 123_456].map(figure), ['0', '0.0123', '1', '100', '123,000'])
  assert.equal(figure(null), '-')
  assert.equal(
    plainTable(
      ['a', 'n'],
      [
        ['xyz', '1'],
        ['b', '10'],
      ],
    ),
    'a     n\nxyz   1\nb    10',
  )
  assert.equal(markdownTable(['a'], [['x']]), '| a |\n| --- |\n| x |')
})

test('a chart shows the best first, and there is none without rows', () => {
  const chart = CHARTS.find(({ name }) => name === 'latency')!
  const results = new Results()
  assert.equal(chartOf(chart, results.rows()), undefined)
  results.add({ ...LATENCY, subject: 'zeromq' }, 'us', 40)
  results.add({ ...LATENCY, subject: 'conclave' }, 'us', 10)
  const svg = chartOf(chart, results.rows()) ?? ''
  assert.ok(svg.indexOf('>conclave<') > 0 && svg.indexOf('>conclave<') < svg.indexOf('>zeromq<'), svg)
  assert.match(svg, /40 \(4x\)/)
})
