import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from '../../src/cli/table.ts'

test('columns are as wide as their widest cell, numbers to the right', () => {
  const rows = [
    ['milk', 7],
    ['a', 12],
  ]
  assert.deepEqual(table(['NAME', 'N'], rows), ['NAME   N', 'milk   7', 'a     12'])
  assert.deepEqual(table(['NAME', 'N'], []), ['NAME  N'])
})

test('a table may have more rows than a call has arguments', () => {
  const lines = table(
    ['N'],
    Array.from({ length: 300_000 }, (_, n) => [n]),
  )
  assert.equal(lines.length, 300_001)
  assert.equal(lines.at(-1), '299999')
})
