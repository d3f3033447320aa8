import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HeadReader, stringMessage, uintMessage } from '../../../src/dialects/bilateral/gob-head.ts'
import vectors from '../../vectors/bilateral-messages.json' with { type: 'json' }

test('id and method, as recorded', () => {
  assert.equal(uintMessage(1).toString('hex'), '03060001')
  assert.equal(uintMessage(128).toString('hex'), '040600ff80')
  assert.equal(uintMessage(65_536).toString('hex'), '060600fd010000')
  assert.equal(stringMessage('Arith.SumDiff').toString('hex'), '100c000d41726974682e53756d44696666')
  assert.equal(stringMessage('').toString('hex'), '030c0000')
  let calls = 0
  for (const { steps } of vectors.cases) {
    for (const { sent, sent_command: command } of steps) {
      if (command !== 'CALL' && command !== 'CAST') continue
      const reader = new HeadReader(Buffer.from(sent[1] ?? '', 'hex'))
      assert.equal(typeof reader.uint(), 'number')
      assert.match(reader.string() ?? '', /^Arith\.(?:SumDiff|Nope|Fail)$/)
      assert.equal(reader.rest.subarray(0, 3).toString('hex'), '1eff81')
      calls++
    }
  }
  assert.equal(calls, 5)
})

test('what was written is read back', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.string({ unit: 'grapheme' }),
      fc.uint8Array(),
      (id, text, rest) => {
        const reader = new HeadReader(Buffer.concat([uintMessage(id), stringMessage(text), rest]))
        assert.equal(BigInt(reader.uint() ?? -1), id)
        assert.equal(reader.string(), text)
        assert.deepEqual(new Uint8Array(reader.rest), rest)
      },
    ),
  )
})

test('no bytes make it throw, and none that are cut are taken', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const reader = new HeadReader(Buffer.from(bytes))
      reader.uint()
      reader.string()
    }),
  )
  const whole = Buffer.concat([uintMessage(300), stringMessage('Type.method')])
  for (let length = 0; length < whole.length; length++) {
    const reader = new HeadReader(whole.subarray(0, length))
    assert.ok(reader.uint() === undefined || reader.string() === undefined, String(length))
  }
  for (const hex of [
    '',
    '03060080',
    '0306007f00',
    '030c0001',
    '03060101',
    '0306',
    'f7ffffffffffffffffff',
    '040c0001ff',
  ]) {
    const reader = new HeadReader(Buffer.from(hex, 'hex'))
    assert.ok(reader.uint() === undefined || reader.rest.length > 0, hex)
    assert.equal(new HeadReader(Buffer.from(hex, 'hex')).string(), undefined, hex)
  }
})
