// limit: 300 s
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BenchDocument } from '../../bench/support/document.ts'
import { childEnv, ROOT } from '../support/flags.ts'
import { execute, temporaryDirectory, until, within } from '../support/index.ts'

/** A dozen processes start, on a machine that may be busy. */
const BENCH_MS = 90_000

const RUN = join(ROOT, 'bench', 'run.ts')

test('a quick bench prints rows with ratios, medians and spread', async (t) => {
  const words = ['rpc-latency', 'relay', '--quick', '--json', '--only=node:net', '--only=conclave']
  const env = { CONCLAVE_TEST_BASE: temporaryDirectory(t) } // where a bench puts what it needs
  const flags = ['--conditions=source', RUN]
  const { code, stdout, stderr } = await execute(t, process.execPath, [...flags, ...words], { env, limitMs: BENCH_MS })
  assert.equal(code, 0, stderr)
  const { about, rows, targets, skipped } = JSON.parse(stdout) as BenchDocument
  assert.deepEqual(skipped, [])
  assert.equal(about.quick, true)
  const subjects = new Set(rows.map((row) => `${row.case} ${row.subject}`))
  const expected = ['rpc-latency node:net', 'rpc-latency conclave', 'relay node:net', 'relay conclave']
  assert.deepEqual(new Set(expected).difference(subjects), new Set())
  for (const row of rows) {
    assert.equal(row.unit, 'us')
    assert.equal(row.runs, 2)
    assert.ok(row.min > 0 && row.min <= row.value && row.value <= row.max, JSON.stringify(row))
    assert.ok(row.vsFloor !== null && row.vsFloor > 0 && row.vsUs !== null && row.vsUs > 0, JSON.stringify(row))
    if (row.subject === 'node:net') assert.equal(row.vsFloor, 1)
    if (row.subject === 'conclave') assert.equal(row.vsUs, 1)
  }
  const floor = targets.find(({ text }) => text === 'p50 of 64 B over node:net')
  assert.ok(floor?.value !== null && typeof floor?.met === 'boolean', JSON.stringify(floor))
  // A target whose peer took no part is open, not met.
  assert.deepEqual(
    targets.filter(({ text }) => text.includes('zeromq')).map(({ value, met }) => [value, met]),
    [[null, null]],
  )
})

test('a case that is not there is refused before anything starts', async (t) => {
  const { code, stderr } = await execute(t, process.execPath, ['--conditions=source', RUN, 'rpc-latancy'])
  assert.equal(code, 64)
  assert.match(stderr, /There is no case rpc-latancy/)
})

test('a bench that is interrupted takes its processes and files with it', async (t) => {
  const words = ['--conditions=source', RUN, 'rpc-latency', '--only=node:net', '--only=conclave']
  const folder = temporaryDirectory(t)
  const env = childEnv({ CONCLAVE_TEST_BASE: folder })
  const bench = spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => bench.kill('SIGKILL'))
  const ended = once(bench, 'close')
  let said = ''
  // Read to its end: a bench that goes on meanwhile must not find its pipe closed.
  bench.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const begun = (): boolean => said.includes('warm-up') || bench.exitCode !== null
  await until(begun, 'all sides to run', { limitMs: BENCH_MS, seen: () => said })
  assert.equal(readdirSync(folder).length, 1)
  bench.kill('SIGINT')
  const [code] = (await within(ended, 'the bench to end', BENCH_MS)) as [number | null]
  assert.equal(code, 130, said)
  assert.deepEqual(readdirSync(folder), []) // its processes are looked for by the test command
})
