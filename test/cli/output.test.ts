import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { frameOf } from '../../src/cli/demo/picture.ts'
import { printable, wantsColours } from '../../src/cli/output.ts'
import { conclave, execute, workspace } from '../support/index.ts'
import { linesOf, shellCommand, startMember } from './support.ts'

test('colours: FORCE_COLOR, then NO_COLOR, then the terminal', () => {
  const cases: [env: NodeJS.ProcessEnv, terminal: boolean, expected: boolean][] = [
    [{}, true, true],
    [{}, false, false],
    [{ TERM: 'dumb' }, true, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: 'true', TERM: 'dumb' }, false, true],
    [{ FORCE_COLOR: '3', NO_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
    [{ FORCE_COLOR: 'false' }, true, false],
    [{ FORCE_COLOR: '' }, true, true],
    [{ FORCE_COLOR: '' }, false, false],
  ]
  for (const [env, terminal, expected] of cases) {
    assert.equal(wantsColours(env, terminal), expected, JSON.stringify([env, terminal]))
  }
})

test('FORCE_COLOR colours what goes into a pipe, but JSON', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  const env = { FORCE_COLOR: '1' }
  assert.ok((await conclave(t, ['status', folder], { env })).stdout.startsWith('\u001b[1mworkspace'))
  assert.ok(!(await conclave(t, ['status', folder, '--json'], { env })).stdout.includes('\u001b'))
})

test('nothing from elsewhere moves the cursor, and JSON stays the same value', () => {
  const evil = Array.from({ length: 0xa1 }, (_, code) => String.fromCharCode(code)).join('')
  // oxlint-disable-next-line no-control-regex
  assert.ok(!/[\u0000-\u001f\u007f-\u009f]/.test(printable(evil)))
  assert.equal(JSON.parse(printable(JSON.stringify(evil))), evil)
  assert.equal(printable('\u009b2J ä € 😀'), '\\u009b2J ä € 😀')
})

test('what cannot be written is said, with exit 1', { skip: !existsSync('/dev/full') }, async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  for (const args of ['--help', `status '${folder}'`, `status '${folder}' --json`]) {
    const { code, stderr } = await execute(t, 'bash', ['-c', `${shellCommand(args)} > /dev/full`])
    assert.equal(code, 1)
    assert.match(stderr, /^conclave: What was printed could not be written: ENOSPC: .*\n$/)
    assert.equal(linesOf(stderr).length, 1)
  }
})

test("the demo's picture fits into a terminal of 80 columns", () => {
  const view = { name: 'worker-6', pid: 4194304, role: 'secondary', term: 3, files: 12_345 } as const
  const lines = frameOf({
    tree: `/home/${'somebody/'.repeat(20)}`,
    processes: [
      { ...view, late: true, state: 'killed' },
      { ...view, late: true, state: 'working' },
    ],
    phase: 'comparing',
    term: 3,
    done: 12_345,
    total: 12_345,
    compared: 12_345,
    failovers: [],
    events: { published: 12_345, delivered: 12_345, missed: 0 },
    eventsPerSecond: 12_345,
    elapsedMs: 100_000,
    verdict: undefined,
  })
  for (const line of lines) {
    const text = line.map((piece) => piece.text).join('')
    assert.ok(text.trimEnd().length < 80, text)
  }
})
