import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as limits from '../../../src/dialects/bilateral/limits.ts'
import { ROOT } from '../../support/index.ts'

test('the section of docs/dialects.md has every constant of limits.ts with its value, and names tests that exist', () => {
  const page = readFileSync(join(ROOT, 'docs', 'dialects.md'), 'utf8')
  const start = page.indexOf('## Bilateral RPC')
  assert.ok(start >= 0)
  const [section = ''] = /^## Bilateral RPC[^]*?(?=\n## |$(?![^]))/m.exec(page.slice(start)) ?? []
  const rows = [
    ...section.matchAll(/^\| `([A-Z_]+)` +\| ([\d,]+) +\|.*`(dialects\/bilateral\/[\w-]+\.test\.ts)` +\|$/gm),
  ]
  const values = Object.fromEntries(rows.map(([, name, value = '']) => [name, Number(value.replaceAll(',', ''))]))
  assert.deepEqual(values, { ...limits })
  for (const [, , , file = ''] of rows) assert.ok(existsSync(join(ROOT, 'test', file)), file)
})

test('every weak point of the page has its test', () => {
  const page =
    readFileSync(join(ROOT, 'docs', 'dialects.md'), 'utf8')
      .split('## Bilateral RPC')[1]
      ?.split('\n## ')[0] ?? ''
  const tests = readFileSync(join(import.meta.dirname, 'weak-points.test.ts'), 'utf8')
  const numbers = new Set([...page.matchAll(/^\| (\d+) +\|/gm)].map(([, number]) => Number(number)))
  assert.deepEqual([...numbers], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  for (const number of numbers) assert.ok(tests.includes(`test('${number}: `), `weak point ${number}`)
})
