import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as limits from '../../../src/dialects/drpc/limits.ts'
import { ROOT } from '../../support/index.ts'

test('the section of docs/dialects.md has every constant of limits.ts with its value, and names tests that exist', () => {
  const page = readFileSync(join(ROOT, 'docs', 'dialects.md'), 'utf8')
  const start = page.indexOf('## dRPC')
  assert.ok(start >= 0)
  const [section = ''] = /^## dRPC[^]*?(?=\n## |$(?![^]))/m.exec(page.slice(start)) ?? []
  const rows = [...section.matchAll(/^\| `([A-Z_]+)` +\| ([\d,]+) +\|.*`(dialects\/drpc\/[\w-]+\.test\.ts)` +\|$/gm)]
  const values = Object.fromEntries(rows.map(([, name, value = '']) => [name, Number(value.replaceAll(',', ''))]))
  assert.deepEqual(values, { ...limits })
  for (const [, , , file = ''] of rows) assert.ok(existsSync(join(ROOT, 'test', file)), file)
})
