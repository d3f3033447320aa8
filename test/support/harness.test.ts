import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import {
  baseDirectory,
  defer,
  execute,
  haveProgram,
  NODE_FLAGS,
  requireProgram,
  ROOT,
  runtimeDirectory,
  spawnProgram,
  stateOf,
  temporaryDirectory,
  until,
  within,
  workspace,
  type Scope,
} from './index.ts'

/** A test inside a test: what the harness does at its end is called by hand. */
function inner(): Scope & { end(): Promise<unknown>; readonly said: string[] } {
  const hooks: (() => unknown)[] = []
  const said: string[] = []
  return {
    after: (hook) => hooks.push(hook),
    passed: false,
    diagnostic: (message) => said.push(message),
    said,
    end: () => Promise.all(hooks.map((hook) => hook())),
  }
}

describe('defer', () => {
  test('runs the latest first, and all of them', async () => {
    const t = inner()
    const order: number[] = []
    for (const n of [1, 2, 3]) {
      defer(t, () => {
        order.push(n)
        if (n !== 1) throw new Error(`undo ${n}`)
      })
    }
    await assert.rejects(t.end(), /undo 3\n.*undo 2/)
    assert.deepEqual(order, [3, 2, 1])
  })
})

describe('workspace', () => {
  test('is fresh, private, short, and gone afterwards', async () => {
    const before = process.env['XDG_RUNTIME_DIR']
    const t = inner()
    const [a, b] = [workspace(t), workspace(t)]
    assert.notEqual(a, b)
    assert.deepEqual([...readdirSync(a), ...readdirSync(b)], [])
    assert.equal(statSync(a).mode & 0o777, 0o700)
    const runtime = runtimeDirectory(t)
    assert.equal(process.env['XDG_RUNTIME_DIR'], runtime)
    assert.ok(a.startsWith(baseDirectory()))
    assert.ok(Buffer.byteLength(join(runtime, 'conclave', 'x'.repeat(32))) <= 103, runtime)
    const another = inner()
    assert.notEqual(runtimeDirectory(another), runtime)
    await another.end()
    assert.equal(process.env['XDG_RUNTIME_DIR'], runtime)
    writeFileSync(join(a, 'file'), '')
    await t.end()
    assert.deepEqual([a, b, runtime].filter(existsSync), [])
    assert.equal(process.env['XDG_RUNTIME_DIR'], before)
  })
})

describe('until', () => {
  test('gives what it waited for', async () => {
    let n = 0
    assert.equal(await until(() => (++n === 3 ? 'there' : undefined), 'three'), 'there')
  })

  test('says what it waited for', async () => {
    const waiting = until(() => false, 'a miracle', { limitMs: 20, seen: () => [1] })
    await assert.rejects(waiting, /^Error: Waited 0.02 s for a miracle; seen instead: \[1\]$/)
    await assert.rejects(within(new Promise(() => {}), 'an answer', 20), /Waited 0.02 s for an answer/)
  })

  test('lets errors through', async () => {
    const broken = (): boolean => {
      throw new Error('broken')
    }
    await assert.rejects(until(broken, 'nothing'), /broken/)
  })
})

describe('spawnProgram', () => {
  test('talks to it in JSON lines, and keeps what was not asked for', async (t) => {
    workspace(t)
    const program = spawnProgram(t, 'echo', ['one', 'two'], { env: { EXTRA: '1' } })
    const { args, runtime } = await program.ready<{ args: string[]; runtime: string }>()
    assert.deepEqual(args, ['one', 'two'])
    assert.equal(runtime, runtimeDirectory(t))
    for (const n of [1, 2, 3]) program.send({ n })
    const is = (n: number) => (message: { readonly echo?: unknown }) => (message.echo as { n: number }).n === n
    await program.next(is(3))
    await program.next(is(1))
    assert.deepEqual(await program.next(), { echo: { n: 2 } })
    assert.equal(program.messages.length, 4)
    program.letGo()
    assert.deepEqual(await program.exit, { code: 0, signal: null })
  })

  test('stops, continues and kills it', async (t) => {
    const program = spawnProgram(t, 'echo')
    await program.ready()
    await program.stop()
    assert.equal(stateOf(program.pid), 'T')
    program.send({ n: 1 })
    program.cont()
    await program.next()
    await program.stop()
    assert.deepEqual(await program.kill(), { code: null, signal: 'SIGKILL' })
    assert.equal(stateOf(program.pid), '')
    await assert.rejects(program.next(), /ended before the awaited message/)
  })

  test('is gone at the end of the test, also when it was stopped', async () => {
    const t = inner()
    const program = spawnProgram(t, 'echo')
    await program.ready()
    await program.stop()
    await t.end()
    assert.equal(stateOf(program.pid), '')
  })

  test('fails the test for a warning, unless it is allowed', async () => {
    for (const [allowWarnings, fails] of [
      [false, true],
      [true, false],
      [/MaxListeners/, false],
      [/other/, true],
    ] as const) {
      const t = inner()
      const program = spawnProgram(t, 'echo', [], { allowWarnings })
      await program.ready()
      program.send({ do: 'warn' })
      await until(() => program.stderr.includes('Warning'), 'the warning')
      const end = t.end()
      await (fails ? assert.rejects(end, /warned: \(node:\d+\) MaxListenersExceededWarning: too many/) : end)
      assert.match(t.said.join('\n'), /stderr of echo: .*too many/)
    }
  })

  test('fails the test for a line that is no JSON, and for a crash nobody looked at', async () => {
    for (const [act, complaint] of [
      ['garble', /no JSON object: not json/],
      ['crash', /ended by itself, unnoticed, with {"code":1,"signal":null}[^]*crashed as told/],
    ] as const) {
      const t = inner()
      const program = spawnProgram(t, 'echo')
      await program.ready()
      program.send({ do: act })
      program.letGo()
      await until(() => !program.running, 'its end')
      await assert.rejects(t.end(), complaint)
    }
  })

  test('a message that never comes is an error with its stderr', async (t) => {
    const program = spawnProgram(t, 'echo')
    await program.ready()
    program.send({ do: 'crash' })
    await assert.rejects(program.next(), /echo[^]*ended while a message was awaited[^]*crashed as told/)
    assert.deepEqual(await program.exit, { code: 1, signal: null })
  })
})

describe('requireProgram', () => {
  test('skips, or fails where everything is required', () => {
    const before = process.env['CONCLAVE_TEST_REQUIRE']
    const skipped: unknown[] = []
    const t = { skip: (message?: string) => void skipped.push(message) }
    try {
      delete process.env['CONCLAVE_TEST_REQUIRE']
      assert.equal(requireProgram(t, 'no-such-program'), false)
      assert.deepEqual(skipped, ['needs no-such-program'])
      process.env['CONCLAVE_TEST_REQUIRE'] = 'all'
      assert.throws(() => requireProgram(t, 'no-such-program'), /not installed/)
      assert.equal(requireProgram(t, 'sh'), true)
      assert.equal(haveProgram('sh'), true)
    } finally {
      if (before === undefined) delete process.env['CONCLAVE_TEST_REQUIRE']
      else process.env['CONCLAVE_TEST_REQUIRE'] = before
    }
  })
})

describe('scripts/test.mjs', () => {
  /** Runs it on a file of its own, in a folder of its own. */
  const runOn = (t: Scope, source: string, env: Readonly<Record<string, string>> = {}) => {
    const folder = temporaryDirectory(t)
    mkdirSync(join(folder, 'test'))
    writeFileSync(join(folder, 'test', 'one.test.ts'), source)
    const args = [join(ROOT, 'scripts', 'test.mjs'), `--root=${folder}`]
    return execute(t, process.execPath, args, { env })
  }
  const HEAD = "import { test } from 'node:test'\n"

  test('exits 0 when tests pass, and says how many', async (t) => {
    const { code, stdout, stderr } = await runOn(t, `${HEAD}test('fine', () => {})`)
    assert.match(stdout, /ℹ tests 1\n/)
    assert.equal(code, 0, stderr)
  })

  test('exits 1 for a failure, a file without tests, and a word that fits nothing', async (t) => {
    assert.equal((await runOn(t, `${HEAD}test('bad', () => { throw new Error() })`)).code, 1)
    assert.match((await runOn(t, 'export {}')).stderr, /holds no test/)
    const none = await execute(t, process.execPath, [join(ROOT, 'scripts', 'test.mjs'), 'no-such-test'])
    assert.equal(none.code, 1)
    assert.match(none.stderr, /No test ran for: no-such-test/)
  })

  test('ends a file that does not end, by itself or not, and says what kept it alive', async (t) => {
    // Long enough for the file to begin, on a machine that gives it nothing for a while.
    const limit = { CONCLAVE_TEST_LIMIT_MS: '2500' }
    const [leaky, blocked] = await Promise.all([
      runOn(t, `${HEAD}test('leaky', () => void setInterval(() => {}, 99))`, limit),
      runOn(t, `${HEAD}test('blocked', () => { for (;;); })`, limit),
    ])
    assert.match(leaky.stdout + leaky.stderr, /did not end within 2.5 s; alive: .*Timeout/)
    assert.equal(leaky.code, 1)
    assert.match(blocked.stdout + blocked.stderr, /blocked its loop/)
    assert.equal(blocked.code, 1)
  })

  test('finds what a test left running and on disk', async (t) => {
    const running = await runOn(
      t,
      `${HEAD}import { spawn } from 'node:child_process'
       test('leaves', () => void spawn('sleep', ['300'], { detached: true, stdio: 'ignore' }).unref())`,
    )
    if (process.platform === 'linux') {
      assert.match(running.stderr, /Left running by a test, now killed: \d+ sleep 300/)
      assert.equal(running.code, 1)
    }
    const litter = await runOn(
      t,
      `${HEAD}import { mkdirSync } from 'node:fs'
       test('leaves', () => mkdirSync(process.env['CONCLAVE_TEST_BASE'] + '/litter'))`,
    )
    assert.match(litter.stderr, /Left on disk by a test: litter/)
    assert.equal(litter.code, 1)
  })

  test('NODE_FLAGS make the package mean its sources', async (t) => {
    const code = "console.log(import.meta.resolve('conclave'))"
    const { stdout } = await execute(t, process.execPath, [...NODE_FLAGS, '--input-type=module', '-e', code])
    assert.equal(stdout.trim(), pathToFileURL(join(ROOT, 'src', 'index.ts')).href)
  })
})
