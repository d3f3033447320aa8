import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { conclave, stateOf, temporaryDirectory, until, within, type Scope } from '../support/index.ts'
import { childrenOf, isRunning, linesOf, startConclave, type Running } from './support.ts'

/** Holds the lock until its file `go` is there; says so in the file `log`. */
function hold(t: Scope, folder: string, name: string, ...options: string[]): Running {
  const script = `echo "start ${name}" >> log; while [ ! -e go ]; do sleep 0.02; done; echo "end ${name}" >> log`
  return startConclave(t, ['lock', '--dir', folder, ...options, '--', 'sh', '-c', `cd '${folder}' && ${script}`])
}

function logOf(folder: string): string[] {
  const path = join(folder, 'log')
  return existsSync(path) ? linesOf(readFileSync(path, 'utf8')) : []
}

test("the command's output and exit code are its own", async (t) => {
  const dir = temporaryDirectory(t)
  const run = (...args: string[]): ReturnType<typeof conclave> => conclave(t, ['lock', '--dir', dir, ...args])
  assert.deepEqual(
    { ...(await run('--', 'sh', '-c', 'echo hi; exit 5')) },
    { code: 5, signal: null, stdout: 'hi\n', stderr: '' },
  )
  assert.equal((await run('--', 'sh', '-c', 'kill -TERM $$')).code, 143)
  const missing = await run('--', 'no-such-command-here')
  assert.equal(missing.code, 127)
  assert.match(missing.stderr, /cannot be run/)
  const notRunnable = join(dir, 'text')
  writeFileSync(notRunnable, 'not a program')
  assert.equal((await run('--', notRunnable)).code, 126)
  const passed = await run('--', 'sh', '-c', 'printf "%s|" "$@"', 'sh', '--json', '--', 'a b')
  assert.equal(passed.stdout, '--json|--|a b|')
  const piped = await conclave(t, ['lock', '--dir', dir, '--', 'cat'], { input: 'through' })
  assert.equal(piped.stdout, 'through')
})

test('three processes never overlap', async (t) => {
  const folder = temporaryDirectory(t)
  const log = join(folder, 'log')
  const script = `echo start >> '${log}'; sleep 0.1; echo end >> '${log}'`
  const all = [1, 2, 3].map(() => conclave(t, ['lock', '--dir', folder, '--json', '--', 'sh', '-c', script]))
  for (const { code, stdout } of await Promise.all(all)) {
    assert.equal(code, 0)
    const said = JSON.parse(linesOf(stdout).at(-1)!) as { acquired: boolean; waitedMs: number; code: number }
    assert.deepEqual({ acquired: said.acquired, code: said.code }, { acquired: true, code: 0 })
    assert.ok(said.waitedMs >= 0)
  }
  assert.deepEqual(logOf(folder), ['start', 'end', 'start', 'end', 'start', 'end'])
})

test('a busy lock: 75 with --nonblock and after --wait; another name is free', async (t) => {
  const folder = temporaryDirectory(t)
  const holder = hold(t, folder, 'holder')
  await until(() => logOf(folder).length === 1, 'the holder')
  for (const wait of [['--nonblock'], ['-n'], ['--no-wait'], ['--wait', '50']]) {
    const { code, stdout, stderr } = await conclave(t, ['lock', '--dir', folder, ...wait, '--json', '--', 'true'])
    assert.equal(code, 75)
    const { acquired, code: said } = JSON.parse(stdout) as { acquired: boolean; code: number }
    assert.deepEqual({ acquired, said }, { acquired: false, said: 75 })
    assert.match(stderr, /busy/)
  }
  const other = await conclave(t, ['lock', '--dir', folder, '--name', 'other', '--no-wait', '--', 'true'])
  assert.equal(other.code, 0)
  writeFileSync(join(folder, 'go'), '')
  assert.deepEqual(await within(holder.exit, 'the holder'), { code: 0, signal: null })
  assert.equal((await conclave(t, ['lock', '--dir', folder, '--no-wait', '--', 'true'])).code, 0)
})

test('A10: SIGKILL frees it, though the command lives on: the command did not inherit it', async (t) => {
  const folder = temporaryDirectory(t)
  const holder = hold(t, folder, 'holder')
  await until(() => logOf(folder).length === 1, 'the holder')
  const commands = childrenOf(holder.process.pid!)
  holder.process.kill('SIGKILL')
  const next = await conclave(t, ['lock', '--dir', folder, '--wait', '20000', '--', 'true'])
  assert.equal(next.code, 0)
  assert.ok(commands.every(isRunning), 'the command goes on')
  assert.deepEqual(logOf(folder), ['start holder'])
  writeFileSync(join(folder, 'go'), '')
  await until(() => logOf(folder).length === 2, 'the command to end')
})

test('signals go on to the command, whose end is ours', async (t) => {
  const folder = temporaryDirectory(t)
  for (const [signal, name] of [
    ['SIGTERM', 'TERM'],
    ['SIGINT', 'INT'],
  ] as const) {
    const ready = join(folder, `ready-${name}`)
    const script = `trap 'echo caught; exit 9' ${name}; : > '${ready}'; while :; do sleep 0.02; done`
    const lock = startConclave(t, ['lock', '--dir', folder, '--', 'sh', '-c', script])
    await until(() => existsSync(ready), 'the command')
    assert.deepEqual(await lock.kill(signal), { code: 9, signal: null })
    assert.equal(lock.stdout(), 'caught\n')
  }
})

test('Ctrl-C ends one that waits, and the holder is not disturbed', async (t) => {
  const folder = temporaryDirectory(t)
  const holder = hold(t, folder, 'holder')
  await until(() => logOf(folder).length === 1, 'the holder')
  const waiting = hold(t, folder, 'waiting')
  await until(() => waiting.process.pid !== undefined && isRunning(waiting.process.pid), 'the second')
  assert.equal((await waiting.kill('SIGTERM')).code === 0, false)
  writeFileSync(join(folder, 'go'), '')
  await within(holder.exit, 'the holder')
  assert.deepEqual(logOf(folder), ['start holder', 'end holder'])
})

test('a command may wait for its input: the pipe that it shares with us still blocks', async (t) => {
  const folder = temporaryDirectory(t)
  const ready = join(folder, 'ready')
  const lock = startConclave(t, ['lock', '--dir', folder, '--', 'sh', '-c', `: > '${ready}'; cat; echo end`])
  await until(() => existsSync(ready) && (lock.stdout() !== '' || waitsForInput(lock)), 'cat to wait or to give up')
  lock.process.stdin!.end('late\n')
  assert.deepEqual(await within(lock.exit, 'the command'), { code: 0, signal: null })
  assert.deepEqual([lock.stdout(), lock.stderr()], ['late\nend\n', ''])
})

/** Its grandchild, `cat`, sleeps; where nobody knows, it is taken for true. */
function waitsForInput(lock: Running): boolean {
  if (process.platform !== 'linux') return true
  const [cat] = childrenOf(lock.process.pid!).flatMap(childrenOf)
  return cat !== undefined && readFileSync(`/proc/${cat}/comm`, 'utf8') === 'cat\n' && stateOf(cat) === 'S'
}
