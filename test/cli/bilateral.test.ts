import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { start } from '../platform/support.ts'
import { conclave, NODE_FLAGS, ROOT, temporaryDirectory, type Scope } from '../support/index.ts'

const MAIN = join(ROOT, 'src', 'cli', 'main.ts')

/** A node that stays: where it listens, and its name. */
async function serve(t: Parameters<typeof start>[0], ...words: string[]): Promise<{ name: string; address: string }> {
  const args = [...NODE_FLAGS, MAIN, 'bilateral', 'node', '--json', '--keep', '--listen', 'tcp://127.0.0.1:*', ...words]
  const line = await start(t, process.execPath, args).line()
  const { name, listening } = JSON.parse(line) as { name: string; listening: string[] }
  return { name, address: listening[0] ?? '' }
}

const ask = (t: Scope, words: string[], input: string): ReturnType<typeof conclave> =>
  conclave(t, ['bilateral', 'node', '--wait', '1', '--timeout', '30000', ...words], { input })

describe('conclave bilateral node', () => {
  for (const codec of ['json', 'gob']) {
    test(`in the clear, ${codec}: call, cast, peers`, async (t) => {
      const { address } = await serve(t, '--name', 'a', '--codec', codec)
      const words = ['--name', 'b', '--codec', codec, '--connect', `a@${address}`]
      const input =
        'call * Arith.SumDiff {"A":5,"B":3}\n\ncall a,z Arith.Nope\ncast a Echo.Echo {"x":"y"}\npeers\ncall a Echo.Echo {"x":"y"}\n'
      const { code, stdout, stderr } = await ask(t, words, input)
      assert.equal(code, 0, stderr)
      const [sum, nope, cast, peers, echo] = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      assert.deepEqual(sum, { replies: [{ from: 'a', reply: { S: 8, D: 2 } }], missing: [] })
      assert.deepEqual(nope, {
        replies: [{ from: 'a', error: { code: 'METHOD_NOT_FOUND', message: 'There is no method Arith.Nope here.' } }],
        missing: [{ name: 'z', error: { code: 'DISCONNECTED', message: 'z is not connected.' } }],
      })
      assert.deepEqual(cast, { missing: [] })
      assert.deepEqual(peers, [{ name: 'a', state: 'connected', active: true, address }])
      assert.deepEqual(echo, { replies: [{ from: 'a', reply: { x: 'y' } }], missing: [] })
    })
  }

  test('with keys', async (t) => {
    const folder = temporaryDirectory(t)
    const keys = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        const file = join(folder, name)
        const { code, stdout, stderr } = await conclave(t, ['bilateral', 'keys', file])
        assert.equal(code, 0, stderr)
        assert.equal(statSync(file).mode & 0o777, 0o600)
        const { publicKey } = JSON.parse(readFileSync(file, 'utf8')) as { publicKey: string }
        assert.equal(stdout.trim(), publicKey)
        return { file, publicKey }
      }),
    )
    const [a, b, c] = keys
    assert.ok(a && b && c)
    const { name, address } = await serve(t, '--keys', a.file, '--allow', b.publicKey)
    assert.equal(name, a.publicKey)
    const connect = ['--connect', `${name}@${address}`]
    const { code, stdout, stderr } = await ask(
      t,
      ['--keys', b.file, ...connect],
      'call * Arith.SumDiff {"A":1,"B":1}\n',
    )
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), { replies: [{ from: name, reply: { S: 2, D: 0 } }], missing: [] })
    const stranger = ['bilateral', 'node', '--keys', c.file, ...connect]
    const refused = await conclave(t, stranger, { input: `call ${name} Arith.SumDiff {}\n` })
    assert.match(refused.stdout, /"code":"DISCONNECTED"/)
    assert.equal((await conclave(t, ['bilateral', 'keys', a.file])).code, 1)
  })

  test('what makes no sense is said', async (t) => {
    const folder = temporaryDirectory(t)
    const wrong = [
      [],
      ['node', 'more'],
      ['keys'],
      ['node', '--name', 'a', '--keys', 'x'],
      ['node', '--keys', join(folder, 'none')],
      ['node', '--name', 'a', '--codec', 'xml'],
      ['node', '--name', 'a', '--connect', 'b'],
    ]
    const ended = await Promise.all(wrong.map((words) => conclave(t, ['bilateral', ...words])))
    assert.deepEqual(
      ended.map(({ code }) => code),
      wrong.map(() => 2),
    )
    const { code, stderr } = await conclave(t, ['bilateral', 'node', '--name', 'a'], {
      input: 'sing\ncall * Nodot {}\ncall * A.b {\n',
    })
    assert.equal(code, 2)
    assert.equal(stderr.trim().split('\n').length, 4, stderr)
  })
})
