// limit: 300 s
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compare } from '../../src/cli/demo/verify.ts'
import { conclave, stateOf, temporaryDirectory, until, workspace, type Scope } from '../support/index.ts'
import { childrenOf, linesOf, makeTree, onlyJson, startConclave } from './support.ts'

/** Six processes start and three are killed, on a machine that may be busy. */
const DEMO_MS = 120_000

interface Report {
  readonly ok: boolean
  readonly files: number
  readonly indexed: number
  readonly lost: number
  readonly duplicated: number
  readonly terms: number
  readonly failovers: { readonly term: number; readonly ms: number }[]
  readonly events: { readonly published: number; readonly delivered: number; readonly missed: number }
  readonly forgotten: number
  readonly processes: { readonly state: string; readonly late: boolean }[]
  readonly problems: string[]
}

/** Runs a demo with a place of its own for temporary files, and expects that nothing is left there. */
async function demo(t: Scope, tree: string, ...args: string[]): Promise<Report> {
  workspace(t)
  const temporary = temporaryDirectory(t, 'tmp')
  const env = { TMPDIR: temporary }
  const { code, stdout, stderr } = await conclave(t, ['demo', tree, '--json', ...args], { env, limitMs: DEMO_MS })
  const report = onlyJson(stdout) as unknown as Report
  assert.equal(stderr, '')
  assert.deepEqual(report.problems, [])
  assert.equal(code, 0)
  assert.deepEqual(readdirSync(temporary), [])
  return report
}

function assertWhole(report: Report, files: number): void {
  const { ok, indexed, lost, duplicated, terms, failovers, events, forgotten, processes } = report
  assert.deepEqual(
    { ok, files: report.files, indexed, lost, duplicated, terms, forgotten },
    { ok: true, files, indexed: files, lost: 0, duplicated: 0, terms: 3, forgotten: 0 },
  )
  assert.deepEqual(
    failovers.map(({ term }) => term),
    [2, 3],
  )
  assert.ok(failovers.every(({ ms }) => ms > 0))
  assert.equal(events.published, events.delivered + events.missed)
  assert.ok(events.published >= files)
  assert.equal(processes.filter(({ state }) => state === 'killed').length, 3)
  assert.equal(processes.filter(({ late }) => late).length, 1)
}

test('the index is whole though two primaries and a worker are killed while they work', async (t) => {
  const tree = makeTree(t, 400)
  // None of these is read: a link, databases and what lies beside them (A5), other workspaces.
  symlinkSync(join(tree, 'a0'), join(tree, 'link'))
  for (const name of ['app.db', 'app.db-wal', 'app.db-shm', 'app.sqlite3', 'x-journal']) {
    writeFileSync(join(tree, name), 'not to be opened')
  }
  mkdirSync(join(tree, '.conclave'), { mode: 0o700 })
  writeFileSync(join(tree, '.conclave', 'lock'), '')
  assertWhole(await demo(t, tree, '--pace', '10'), 400)
  assert.deepEqual(readdirSync(join(tree, '.conclave')), ['lock'])
})

test('three files, and none at all', async (t) => {
  assertWhole(await demo(t, makeTree(t, 3)), 3)
  assertWhole(await demo(t, temporaryDirectory(t), '--workers', '3'), 0)
})

test('Ctrl-C leaves nothing behind', async (t) => {
  workspace(t)
  const temporary = temporaryDirectory(t, 'tmp')
  // Nobody is killed in the first seconds: those who are looked for are all there.
  const running = startConclave(t, ['demo', makeTree(t, 600), '--pace', '500'], { TMPDIR: temporary })
  await until(() => running.stdout().includes('files found'), 'the demo to work', { seen: running.stderr })
  const children = childrenOf(running.process.pid!)
  assert.ok(process.platform !== 'linux' || children.length >= 5)
  assert.equal((await running.kill('SIGINT')).code, 130)
  assert.deepEqual(
    children.filter((pid) => stateOf(pid) !== ''),
    [],
  )
  assert.deepEqual(readdirSync(temporary), [])
  assert.equal(running.stderr(), '')
})

test('plain lines without a terminal; --quiet says only how it ended', async (t) => {
  workspace(t)
  const tree = makeTree(t, 5)
  const plain = await conclave(t, ['demo', tree], { limitMs: DEMO_MS })
  assert.equal(plain.code, 0)
  assert.match(plain.stdout, /SIGKILL for worker-\d, primary of term 1/)
  assert.match(plain.stdout, /^ok: 5 files .*, 5 indexed, 0 lost, 0 duplicated$/m)
  assert.match(plain.stdout, /^3 terms, failovers .* \(median \d+\.\d ms\)$/m)
  assert.ok(!plain.stdout.includes('\u001b'))
  const quiet = await conclave(t, ['demo', tree, '--quiet'], { limitMs: DEMO_MS })
  assert.equal(linesOf(quiet.stdout).length, 3)
})

test('the comparison finds what is lost, wrong, doubled or extra', async (t) => {
  const tree = temporaryDirectory(t)
  for (const name of ['good', 'wrong', 'lost', 'twice']) writeFileSync(join(tree, name), 'x')
  const x = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881'
  const row = (
    path: string,
    sha256 = x,
    results = 1,
  ): { path: string; sha256: string; size: number; results: number } => ({
    path,
    sha256,
    size: 1,
    results,
  })
  const rows = [row('good'), row('wrong', 'ab'), row('twice', x, 2)]
  const later = { startedAt: Date.now() + 60_000, signal: new AbortController().signal, compared: () => {} }
  const { files, indexed, lost, duplicated, changed, examples } = await compare(tree, rows, later)
  assert.deepEqual(
    { files, indexed, lost, duplicated, changed },
    { files: 4, indexed: 3, lost: 2, duplicated: 1, changed: 0 },
  )
  assert.equal(examples.length, 3)
  // What others changed since the demo began is not held against it.
  const before = await compare(tree, rows, { ...later, startedAt: 0 })
  assert.deepEqual([before.lost, before.changed], [0, 2])
})
