import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fs } from '../../src/platform/builtins.ts'
import { randomBytes } from '../../src/platform/random.ts'

function check(): void {
  const made = Array.from({ length: 100 }, () => randomBytes(16))
  assert.ok(made.every(({ length }) => length === 16))
  assert.equal(new Set(made.map((bytes) => bytes.toString('hex'))).size, made.length)
}

test('random bytes are as many as asked for, and other ones each time', () => {
  check()
  assert.equal(randomBytes(0).length, 0)
})

test('they are random without /dev/urandom, and when something else lies in its place', (t) => {
  const open = t.mock.method(fs, 'openSync', () => {
    throw new Error('ENOENT')
  })
  check()
  assert.equal(open.mock.callCount(), 100)
  open.mock.restore()
  const { openSync } = fs
  t.mock.method(fs, 'openSync', () => openSync(import.meta.filename, 'r'))
  const read = t.mock.method(fs, 'readSync')
  t.mock.method(fs, 'fstatSync', () => ({ isCharacterDevice: () => false }))
  check()
  assert.equal(read.mock.callCount(), 0)
})
