import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { nearest } from '../../src/cli/nearest.ts'
import { conclave, execute, ROOT } from '../support/index.ts'
import { linesOf, shellCommand } from './support.ts'

const VERBS = ['demo', 'status', 'tail', 'publish', 'call', 'lock']

test('help is one screen, names every verb and the exit codes', async (t) => {
  const { code, stdout, stderr } = await conclave(t, ['--help'])
  assert.equal(code, 0)
  assert.equal(stderr, '')
  assert.ok(linesOf(stdout).length <= 24, `${linesOf(stdout).length} lines`)
  assert.ok(stdout.split('\n').every((line) => line.length <= 120))
  for (const verb of VERBS) assert.match(stdout, new RegExp(`^  ${verb} `, 'm'))
  assert.match(stdout, /Exit codes: .*3 nobody.*124/s)
})

test('each verb has a help page, by --help and by help', async (t) => {
  for (const verb of VERBS) {
    const page = await conclave(t, [verb, '--help'])
    assert.equal(page.code, 0, verb)
    assert.match(page.stdout, new RegExp(`^Usage: conclave ${verb} `))
    assert.match(page.stdout, /--json/)
    assert.ok(
      page.stdout.split('\n').every((line) => line.length <= 120),
      verb,
    )
  }
  const page = await conclave(t, ['help', 'lock'])
  assert.match(page.stdout, /^Usage: conclave lock /)
})

test("--version is the package's", async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  for (const args of [['--version'], ['status', '--version']]) {
    assert.equal((await conclave(t, args)).stdout, `${version}\n`)
  }
})

test('a wrong command line exits 2 with one sentence that helps', async (t) => {
  const cases: [args: string[], says: RegExp][] = [
    [['statsu'], /no verb "statsu".*Did you mean status\?/],
    [['frobnicate'], /no verb "frobnicate".*conclave --help/],
    [['--json', 'status'], /verb comes first/],
    [['status', '--jsn'], /no option --jsn; did you mean --json\?/],
    [['status', '--app'], /--app needs a value/],
    [['status', '--json=yes'], /--json takes no value/],
    [['status', '.', 'too', 'much'], /"too" is too much/],
    [['tail'], /Something is missing/],
    [['tail', 'x', '--from', 'yesterday'], /--from needs/],
    [['publish', 'a', '{nope'], /must be JSON/],
    [['call', 'a', '--to', 'somebody'], /--to needs/],
    [['call', 'a', '--timeout', 'soon'], /--timeout needs a whole number/],
    [['status', '--', '.', '-x'], /"-x" is too much/],
    [['lock', '--name', '', '--', 'true'], /is named with/],
    [['lock'], /Put the command behind --/],
    [['lock', '--wait', '5', '--no-wait', '--', 'true'], /not both/],
    [['lock', '--name', '../x', '--', 'true'], /is named with/],
    [['demo', '--workers', '2'], /from 3 to 64/],
    [['demo', '/nowhere/at/all'], /no folder/],
  ]
  for (const [args, says] of cases) {
    const { code, stdout, stderr } = await conclave(t, args)
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.equal(linesOf(stderr).length, 1, stderr)
    assert.match(stderr, says)
  }
})

test('without a verb: the same page, on stderr, and exit 2', async (t) => {
  const { code, stdout, stderr } = await conclave(t, [])
  assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
  assert.match(stderr, /Usage: conclave <verb>/)
})

test('a reader that goes away is no error', async (t) => {
  const { code, stdout, stderr } = await execute(t, 'bash', [
    '-c',
    `set -o pipefail; ${shellCommand('--help')} | head -1`,
  ])
  assert.deepEqual({ code, lines: linesOf(stdout).length, stderr }, { code: 0, lines: 1, stderr: '' })
})

test('nearest() proposes only what is near', () => {
  assert.equal(nearest('statsu', VERBS), 'status')
  assert.equal(nearest('pub', VERBS), 'publish')
  assert.equal(nearest('lokc', VERBS), 'lock')
  assert.equal(nearest('xyzzy', VERBS), undefined)
})
