import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { build } from 'esbuild'
import { execute, temporaryDirectory } from '../support/index.ts'

const PROGRAM = `
import { join } from 'conclave'
join(process.argv[2]).then(() => process.exit(1), ({ code, message }) => console.log(code, message))
`

for (const format of ['esm', 'cjs'] as const) {
  test(`bundled into another program (${format}) it says what to do`, async (t) => {
    const folder = temporaryDirectory(t)
    const outfile = join(folder, format === 'esm' ? 'program.mjs' : 'program.cjs')
    await build({
      stdin: { contents: PROGRAM, resolveDir: join(import.meta.dirname, '..', '..') },
      conditions: ['source'],
      bundle: true,
      platform: 'node',
      format,
      outfile,
      logLevel: 'silent',
    })
    const { stdout } = await execute(t, process.execPath, [outfile, folder])
    assert.match(stdout, /^UNSUPPORTED .*mark it as external/)
  })
}
