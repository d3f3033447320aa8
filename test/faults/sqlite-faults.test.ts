// limit: 300 s
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { needsCompiler } from '../platform/support.ts'
import { execute, spawnProgram, temporaryDirectory } from '../support/index.ts'

test(
  'a database whose n-th system call fails, for every kind and every n: typed errors, and what was told holds',
  { skip: needsCompiler },
  async (t) => {
    const programs = path(import.meta.dirname, 'programs')
    const directory = temporaryDirectory(t)
    const library = path(directory, 'system-calls.so')
    const source = path(programs, 'system-calls.c')
    const built = await execute(t, 'cc', ['-O1', '-Wall', '-Wextra', '-shared', '-fPIC', '-o', library, source, '-ldl'])
    assert.deepEqual([built.code, built.stderr], [0, ''])
    const plan = path(directory, 'plan')
    writeFileSync(plan, Buffer.alloc(4096))
    const program = spawnProgram(
      t,
      path(programs, 'sqlite-faults.ts'),
      [directory, process.env['CONCLAVE_TEST_FAULTS'] ?? ''],
      { env: { LD_PRELOAD: library, CONCLAVE_TEST_FAULT_FILE: plan } },
    )
    await program.exit
    const failed = program.messages.filter((said) => 'failed' in said).map((said) => said['failed'])
    assert.deepEqual(failed, [], program.stderr)
    assert.ok(
      program.messages.some((said) => said['over'] === true),
      program.stderr,
    )
    for (const { kind, lives } of program.messages) {
      if (kind === undefined) continue
      t.diagnostic(`${String(kind)}: ${Number(lives)} lives`)
      assert.ok(Number(lives) > 3, `${String(kind)} was never called`)
    }
  },
)
