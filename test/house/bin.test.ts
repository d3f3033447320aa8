import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { execute, ROOT, temporaryDirectory, type Executed, type Scope } from '../support/index.ts'

const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { engines: { node: string } }

/** bin/conclave.js in a folder of its own, run by a Node that says it is of another version. */
function run(
  t: Scope,
  version: string | undefined,
  files: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Executed> {
  const folder = temporaryDirectory(t)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    if (path.endsWith('.bin/node')) symlinkSync(content, join(folder, path))
    else writeFileSync(join(folder, path), content)
  }
  mkdirSync(join(folder, 'bin'))
  copyFileSync(join(ROOT, 'bin', 'conclave.js'), join(folder, 'bin', 'conclave.js'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', engines }))
  const lie = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
  const flags = version === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(lie)}`]
  return execute(t, process.execPath, [...flags, join(folder, 'bin', 'conclave.js'), ...args], { env })
}

const MAIN = {
  'dist/src/cli/main.js': "console.log('main', ...process.argv.slice(2)); process.exitCode = 7",
}

describe('bin/conclave.js', () => {
  test('gives an old Node one sentence', async (t) => {
    for (const version of ['20.20.2', '22.12.9', '18.0.0']) {
      const { code, stdout, stderr } = await run(t, version, MAIN)
      assert.equal(stderr, `conclave needs Node 22.13 or newer, and this is Node ${version} (${process.execPath}).\n`)
      assert.equal(stdout, '')
      assert.equal(code, 1)
    }
  })

  test('runs with a Node that is new enough', async (t) => {
    for (const version of ['22.13.0', '24.0.0', undefined]) {
      const { code, stdout } = await run(t, version, MAIN, ['status', '--json'])
      assert.equal(stdout, 'main status --json\n')
      assert.equal(code, 7)
    }
  })

  test('starts again with the Node of the checkout, arguments and exit code kept', async (t) => {
    const files = { ...MAIN, 'node_modules/.bin/node': process.execPath }
    const { code, stdout, stderr } = await run(t, '20.20.2', files, ['tail', '>'])
    assert.equal(stderr, '')
    assert.equal(stdout, 'main tail >\n')
    assert.equal(code, 7)
  })

  test('does not start again for ever, and dies as its child died', async (t) => {
    // One that is too old as well: it gets as far as the mark that the first start left.
    const again = await run(t, '20.20.2', { ...MAIN, 'node_modules/.bin/node': process.execPath }, [], {
      CONCLAVE_REEXEC: '1',
    })
    assert.match(again.stderr, /^conclave needs Node 22.13 or newer/)
    const killed = {
      'node_modules/.bin/node': process.execPath,
      'dist/src/cli/main.js': "process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 60_000)",
    }
    assert.equal((await run(t, '20.20.2', killed)).signal, 'SIGTERM')
  })

  test('what it starts again with may start others: the mark ends with it', async (t) => {
    const files = {
      ...MAIN,
      'dist/src/cli/main.js': 'console.log(process.env.CONCLAVE_REEXEC)',
      'node_modules/.bin/node': process.execPath,
    }
    assert.equal((await run(t, '20.20.2', files)).stdout, 'undefined\n')
  })

  test('passes on the signals that no terminal sends', async (t) => {
    const main = `for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(signal, () => { console.log(signal); process.exit(0) })
    setTimeout(() => {}, 60_000)
    process.kill(process.ppid, process.argv[2])`
    const files = { 'dist/src/cli/main.js': main, 'node_modules/.bin/node': process.execPath }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      const { code, stdout } = await run(t, '20.20.2', files, [signal])
      assert.deepEqual({ code, stdout }, { code: 0, stdout: `${signal}\n` })
    }
  })

  test('says that a checkout is not built', async (t) => {
    const { code, stderr } = await run(t, undefined, {})
    assert.match(stderr, /^conclave is not built: run `npm run compile` in the checkout.\n$/)
    assert.equal(code, 1)
  })
})
