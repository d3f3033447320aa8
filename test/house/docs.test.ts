import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CODES } from '../../src/errors/index.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test('docs/errors.md has a row for each code, with its number, and no other', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` +\| (-\d+) /gm)]
  assert.deepEqual(Object.fromEntries(rows.map(([, code, number]) => [code, Number(number)])), CODES)
})

test('error numbers are unique', () => {
  assert.equal(new Set(Object.values(CODES)).size, Object.keys(CODES).length)
})

for (const file of ['wire', 'rpc', 'events', 'engine/local', 'member', 'sqlite']) {
  test(`docs/limits.md has every constant of src/${file}/limits.ts with its value`, async () => {
    const limits = (await import(join(root, 'src', file, 'limits.ts'))) as Record<string, unknown>
    const rows = new Map<string, string>()
    for (const [, name = '', value = ''] of read('docs/limits.md').matchAll(/^\| `([A-Z_]+)` +\| ([\d,. ]+?) +\|/gm)) {
      rows.set(name, value.replaceAll(',', ''))
    }
    for (const [name, value] of Object.entries(limits)) {
      assert.equal(rows.get(name), Array.isArray(value) ? value.join(' ') : String(value), name)
    }
  })
}

test('docs/limits.md names tests that exist', () => {
  const files = globSync('test/**/*.test.ts', { cwd: root })
  for (const [, test = ''] of read('docs/limits.md').matchAll(/`([\w/-]+\.test\.ts)`/g)) {
    assert.ok(files.includes(`test/${test}`), test)
  }
})

test('every relative link of the Markdown files leads somewhere', () => {
  for (const file of globSync(['*.md', 'docs/**/*.md'], { cwd: root })) {
    for (const [, target = ''] of read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)/g)) {
      const at = join(root, file, '..', target)
      assert.ok(globSync(at).length > 0, `${file}: ${target}`)
    }
  }
})
