import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { conclave, execute, NODE_FLAGS, ROOT, temporaryDirectory } from '../../support/index.ts'
import { start } from '../../platform/support.ts'
import { packetsOf } from '../../../src/dialects/drpc/chunks.ts'
import { codec, METHOD, MODULE, needsLinux, serve } from './support.ts'

const args = (...words: (string | number)[]): string[] => ['drpc', ...words.map(String)]

describe('conclave drpc call', { skip: needsLinux }, () => {
  test('bodies as text, hex and file; -n repeats', async (t) => {
    const { path } = await serve(t)
    const file = join(temporaryDirectory(t), 'body')
    writeFileSync(file, 'hi')
    for (const body of [['hi'], ['--hex', '6869'], ['--file', file]]) {
      const { code, stdout, stderr } = await conclave(t, args('call', path, MODULE, METHOD.echo, ...body))
      assert.deepEqual([code, stdout, stderr], [0, '1 SUCCESS 6869\n', ''])
    }
    const { stdout } = await conclave(t, args('call', path, MODULE, METHOD.echo, '-n', 3, '--json'))
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [1, 2, 3].map((sequence) => ({ sequence, status: 'SUCCESS', body: '' })),
    )
  })

  test('its exit code says how it went', async (t) => {
    const { path } = await serve(t)
    const outcomes = [
      [MODULE, METHOD.fail, 1, '1 FAILURE\n'],
      [MODULE, 99, 4, '1 UNKNOWN_METHOD\n'],
      [5, 1, 4, '1 UNKNOWN_MODULE\n'],
    ] as const
    for (const [module, method, code, stdout] of outcomes) {
      const ended = await conclave(t, args('call', path, module, method))
      assert.deepEqual([ended.code, ended.stdout], [code, stdout])
    }
    const nobody = await conclave(t, args('call', `${path}x`, 1, 1))
    assert.equal(nobody.code, 1)
    assert.match(nobody.stderr, /DISCONNECTED: Nobody can be reached/)
    for (const wrong of [
      ['call'],
      ['call', path, 'x', 1],
      ['call', path, 1, 1, '--hex', 'abc'],
      ['other'],
      ['serve', path],
      ['serve', `${path}x`, '--echo', '--mode', '699'],
      ['serve', `${path}x`, '--echo', '--mode', '0o600'],
    ]) {
      assert.equal((await conclave(t, args(...wrong))).code, 2, wrong.join(' '))
    }
  })

  test('--json with types: from a compiled set, and from a .proto where a compiler is there', async (t) => {
    const { path } = await serve(t)
    const folder = temporaryDirectory(t)
    const proto = join(folder, 'm.proto')
    writeFileSync(proto, 'syntax = "proto3"; package m; message Ping { string name = 1; repeated int32 n = 2; }')
    const compiled = join(folder, 'm.binpb')
    const buf = join(ROOT, 'node_modules', '.bin', 'buf')
    const built = await execute(
      t,
      process.execPath,
      [buf, 'build', folder, '--as-file-descriptor-set', '-o', compiled],
      { env: { HOME: folder } },
    )
    assert.equal(built.code, 0, built.stderr)
    const body = '{"name":"x","n":[1,2]}'
    const env = { PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH']}`, HOME: folder }
    for (const types of [compiled, proto]) {
      const words = args('call', path, MODULE, METHOD.echo, body, '--json', '--proto', types, '--type', 'm.Ping')
      const { code, stdout, stderr } = await conclave(t, words, { env })
      assert.equal(code, 0, stderr)
      assert.deepEqual(JSON.parse(stdout), { sequence: 1, status: 'SUCCESS', body: JSON.parse(body) as unknown })
    }
    const unknown = await conclave(
      t,
      args('call', path, MODULE, 1, body, '--json', '--proto', compiled, '--type', 'm.Other'),
    )
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /there are m\.Ping/)
  })
})

test('conclave drpc serve --echo, until it is ended', { skip: needsLinux }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const words = [...NODE_FLAGS, join(ROOT, 'src', 'cli', 'main.ts'), ...args('serve', path, '--echo')]
  const program = start(t, process.execPath, words)
  assert.equal(await program.line(), `listening at ${path}`)
  const { stdout } = await conclave(t, args('call', path, 2, 201, 'hi'))
  assert.equal(stdout, '1 SUCCESS 6869\n')
  const second = await conclave(t, args('serve', path, '--echo'))
  assert.match(second.stderr, /SOCKET_IN_USE/)
  program.child.kill('SIGTERM')
  assert.equal((await program.ended).code, 128 + 15)
})

describe('conclave drpc decode', () => {
  test('packets of both sides, from the command line or standard input', async (t) => {
    const call = '0a000000000000000a000000000000000000000001000000082a1001180522026869'
    const answer = '06000000000000000600000000000000000000000100000008051a026869'
    const one = await conclave(t, args('decode', call))
    assert.equal(one.stdout, 'chunk 1/1, 10 of 10 bytes: call module 42 method 1 sequence 5 body 6869\n')
    const both = await conclave(t, args('decode', '--json'), { input: `> ${call}\n\n< ${answer}\n` })
    const [first, second] = both.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(first?.['call'], { module: 42, method: 1, sequence: 5, body: '6869' })
    assert.deepEqual(
      [second?.['response'], second?.['statusName']],
      [{ sequence: 5, status: 0, body: '6869' }, 'SUCCESS'],
    )
  })

  test('a sequence that no number of JSON can be is text', async (t) => {
    const { head } = codec.encodeCall({ module: 1, method: 2, sequence: 2n ** 53n + 1n, body: new Uint8Array(0) })
    const packet = Buffer.from(packetsOf(head)[0] as Uint8Array).toString('hex')
    const { stdout } = await conclave(t, args('decode', '--json', packet))
    assert.equal((JSON.parse(stdout) as { call: { sequence: unknown } }).call.sequence, '9007199254740993')
  })

  test('chunks, faults, and what is no hex', async (t) => {
    const chunks = [
      '0a0000000000000004000000000000000000000002000000082a1001',
      '0a0000000000000006000000000000000100000002000000180522026869',
    ]
    const { stdout } = await conclave(t, args('decode', ...chunks))
    assert.equal(
      stdout,
      'chunk 1/2, 4 of 10 bytes\nchunk 2/2, 6 of 10 bytes: call module 42 method 1 sequence 5 body 6869\n',
    )
    const lying = await conclave(t, args('decode', '640000000000000064000000000000000000000001000000082a', '010203'))
    assert.equal(lying.code, 1)
    assert.match(
      lying.stdout,
      /100 of 100 bytes: PROTOCOL: A chunk of 100 bytes was announced and 2 came\.\nno header: PROTOCOL/,
    )
    assert.equal((await conclave(t, args('decode', 'xyz'))).code, 2)
  })
})
