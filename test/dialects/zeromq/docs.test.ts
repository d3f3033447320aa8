import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as limits from '../../../src/dialects/zeromq/limits.ts'
import { ROOT } from '../../support/index.ts'

const [, after = ''] = readFileSync(join(ROOT, 'docs', 'dialects.md'), 'utf8').split('\n## ZeroMQ bus')
const section = after.split('\n## ')[0] ?? ''

test('docs/dialects.md has every limit of the ZeroMQ bus with its value, and tests that exist', () => {
  const rows = [...section.matchAll(/^\| `([A-Z_]+)` +\| ([\d,]+) .*`(dialects\/zeromq\/[\w-]+\.test\.ts)` +\|$/gm)]
  const values = Object.fromEntries(rows.map(([, name, value = '']) => [name, Number(value.replaceAll(',', ''))]))
  assert.deepEqual(values, { ...limits })
  for (const [, , , file = ''] of rows) assert.ok(existsSync(join(ROOT, 'test', file)), file)
})

test('docs/dialects.md names everything that is exported', () => {
  const index = readFileSync(join(ROOT, 'src', 'dialects', 'zeromq', 'index.ts'), 'utf8')
  const lists = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].map(([, names = '']) => names)
  const exported = lists.flatMap((names) => names.match(/\b(?!type\b)\w+/g) ?? [])
  assert.ok(exported.length > 40)
  assert.deepEqual(
    exported.filter((one) => !section.includes(`\`${one}`)),
    [],
  )
})
