// limit: 300 s
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { printsOf } from './support/blocks.ts'
import { execute, NODE_FLAGS, ROOT, workspace } from './support/index.ts'

const EXAMPLES = globSync('examples/*.ts', { cwd: ROOT }).sort()

/** Each example ends by itself, and prints what its last comments say: `// prints: …`. */
describe('examples', () => {
  test('there are some', () => assert.notEqual(EXAMPLES.length, 0))

  for (const example of EXAMPLES) {
    test(example, async (t) => {
      const cwd = workspace(t)
      const args = [...NODE_FLAGS, join(ROOT, example)]
      const { code, stdout, stderr } = await execute(t, process.execPath, args, { cwd, limitMs: 60_000 })
      assert.equal(code, 0, stderr)
      assert.doesNotMatch(stderr, /Warning/)
      const prints = printsOf(readFileSync(join(ROOT, example), 'utf8'))
      assert.notEqual(prints.length, 0, `${example} does not say what it prints`)
      for (const text of prints) assert.ok(stdout.includes(text), `${text}\nis not in\n${stdout}`)
    })
  }
})
