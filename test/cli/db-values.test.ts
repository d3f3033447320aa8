import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cellOf, exact, parameterOf } from '../../src/cli/db-values.ts'
import { UsageError } from '../../src/cli/exit.ts'

test('words are JSON; integers keep all their digits, bytes are base64', () => {
  const words = [
    'null',
    '1',
    '-1.5e3',
    '"text"',
    '"7"',
    '9007199254740993',
    '-9223372036854775808',
    '{"base64":"AP8="}',
  ]
  const values = [null, 1, -1500, 'text', '7', 9007199254740993n, -9223372036854775808n, Buffer.from([0, 255])]
  assert.deepEqual(words.map(parameterOf), values)
  assert.equal(parameterOf('12345678901234567890', 0), 12345678901234567890n, 'refused where it runs, not rounded here')
  for (const [word, says] of [
    ['milk', /Parameter 3 must be JSON, not milk.*'"milk"'/],
    ['true', /1 and 0/],
    ['[1]', /quote it/],
    ['{"a":1}', /quote it/],
  ] as const) {
    assert.throws(
      () => parameterOf(word, 2),
      (error) => error instanceof UsageError && says.test(error.message),
      word,
    )
  }
})

test('rows as JSON keep large integers and bytes', () => {
  const rows = [{ a: 2n ** 62n, b: new Uint8Array([0, 255]), c: null, d: 'x', e: 1.5 }]
  assert.equal(
    JSON.stringify(exact(rows)),
    '[{"a":4611686018427387904,"b":{"base64":"AP8="},"c":null,"d":"x","e":1.5}]',
  )
})

test('a cell is one short line', () => {
  assert.deepEqual([1.5, 2n ** 60n, null, new Uint8Array([10]), 'a\nb\u001b[2J'].map(cellOf), [
    1.5,
    '1152921504606846976',
    'null',
    "x'0a'",
    'a\\nb\\u001b[2J',
  ])
  assert.equal(String(cellOf('x'.repeat(1000))).length, 60)
})
