import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ROOT } from '../../support/index.ts'

const DOCUMENT = readFileSync(join(ROOT, 'docs', 'dialects.md'), 'utf8')

/** What stands between the heading of a dialect and that of the next. */
function sectionOf(heading: string): string {
  const [, after = ''] = DOCUMENT.split(`\n## ${heading}`)
  return after.split('\n## ')[0] ?? ''
}

const PLACES = [
  ['Event bus', 'eventbus', ['eventbus/limits.ts']],
  ['Pipe', 'pipe', ['pipe/limits.ts', 'pipe/swarm/limits.ts']],
] as const

for (const [heading, name, files] of PLACES) {
  describe(`docs/dialects.md, ${heading}`, () => {
    const section = sectionOf(heading)

    test('has every limit with its value, and tests that exist', async () => {
      const rows = new Map<string, string>()
      for (const [, constant = '', value = '', file = ''] of section.matchAll(
        /^\| `([A-Z_]+)` +\| ([\d,]+) .*`([\w/.-]+)` +\|$/gm,
      )) {
        rows.set(constant, value.replaceAll(',', ''))
        assert.ok(existsSync(join(ROOT, 'test', file)), file)
      }
      for (const file of files) {
        const limits = (await import(join(ROOT, 'src', 'dialects', file))) as Record<string, unknown>
        for (const [constant, value] of Object.entries(limits)) {
          if (typeof value === 'number') assert.equal(rows.get(constant), String(value), constant)
        }
      }
    })

    test('names every function, type and constant that is exported, and examples that run', async () => {
      const index = readFileSync(join(ROOT, 'src', 'dialects', name, 'index.ts'), 'utf8')
      const lists = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].map(([, names = '']) => names)
      const exported = lists.flatMap((names) => names.match(/\b(?!type\b)\w+/g) ?? [])
      assert.ok(exported.length >= Object.keys((await import(`conclave/${name}`)) as object).length)
      const unnamed = exported.filter((one) => !section.includes(`\`${one}`))
      assert.deepEqual(unnamed, [])
      for (const [, example = ''] of section.matchAll(/`(\d\d-[\w-]+\.ts)`/g)) {
        assert.ok(existsSync(join(ROOT, 'examples', example)), example)
      }
    })
  })
}
